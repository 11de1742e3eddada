"""Writes small package registries as plain files, each with the one package `hello`, below a
directory that a web server serves at an address: npm, PyPI's simple index, cargo's sparse index and a
Debian archive."""
import base64, hashlib, io, json, os, subprocess, sys, tarfile, zipfile

root, address = sys.argv[1:3]


def write(path, data):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def npm():
    package = {"name": "hello", "version": "1.0.0"}
    files = {"package/package.json": json.dumps(package), "package/index.js": "module.exports = 'hello from npm'\n"}
    tarball = archive(files)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    dist = {"tarball": f"{address}/npm/-/hello-1.0.0.tgz", "integrity": integrity}
    write("npm/-/hello-1.0.0.tgz", tarball)
    write("npm/hello", json.dumps({
        "name": "hello", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {**package, "dist": dist}}}))


def pypi():
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr("hello.py", "print('hello from pypi')\n")
        zipped.writestr("hello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        zipped.writestr("hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        zipped.writestr("hello-1.0.dist-info/RECORD", "")
    name = "hello-1.0-py3-none-any.whl"
    write(f"simple/hello/{name}", wheel.getvalue())
    digest = hashlib.sha256(wheel.getvalue()).hexdigest()
    write("simple/hello/index.html", f'<!DOCTYPE html><a href="{name}#sha256={digest}">{name}</a>\n')


def cargo():
    manifest = '[package]\nname = "hello"\nversion = "1.0.0"\nedition = "2021"\n'
    crate = archive({"hello-1.0.0/Cargo.toml": manifest, "hello-1.0.0/src/lib.rs": "//! hello from cargo\n"})
    write("cargo/hello-1.0.0.crate", crate)
    write("cargo/config.json", json.dumps({"dl": f"{address}/cargo/{{crate}}-{{version}}.crate"}))
    write("cargo/he/ll/hello", json.dumps({
        "name": "hello", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False,
        "cksum": hashlib.sha256(crate).hexdigest()}) + "\n")


def debian():
    tree = os.path.join(root, "deb")
    control = "Package: hello-ours\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: hello from apt\n"
    write("deb/tree/DEBIAN/control", control)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", f"{tree}/tree", f"{tree}/hello.deb"], check=True, stdout=subprocess.DEVNULL)
    with open(f"{tree}/hello.deb", "rb") as file:
        package = file.read()
    packages = f"{control}Filename: ./hello.deb\nSize: {len(package)}\nSHA256: {hashlib.sha256(package).hexdigest()}\n"
    write("deb/Packages", packages)
    write("deb/Release", f"SHA256:\n {hashlib.sha256(packages.encode()).hexdigest()} {len(packages)} Packages\n")


for make in npm, pypi, cargo, debian:
    make()
