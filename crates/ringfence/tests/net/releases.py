"""Writes registries as plain files below a directory that a web server serves at an address: npm, PyPI
(`index.v1.json` beside the page), cargo's sparse index and a Debian archive. Each has `aged`, whose 1.0.0
came out years ago and whose 2.0.0 came out just now, and `banned`, which is old."""
import base64, hashlib, io, json, os, subprocess, sys, tarfile, time, zipfile
from datetime import datetime, timezone

root, address = sys.argv[1:3]
YEARS = 3 * 365 * 24 * 3600
RELEASES = {"aged": [("1.0.0", YEARS), ("2.0.0", 0)], "banned": [("1.0.0", YEARS)]}


def write(path, data, age=0):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    os.utime(path, (time.time() - age, time.time() - age))


def came_out(age):
    return datetime.fromtimestamp(time.time() - age, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def npm(name, releases):
    versions, times = {}, {}
    for version, age in releases:
        package = {"name": name, "version": version}
        tarball = archive({
            "package/package.json": json.dumps(package),
            "package/index.js": f"module.exports = '{name} {version} from npm'\n"})
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
        write(f"npm-files/{name}-{version}.tgz", tarball, age)
        write(f"hidden/{name}-{version}.bin", tarball, age)
        versions[version] = {**package, "dist": {
            "tarball": f"{address}/registry/{name}/-/{name}-{version}.tgz", "integrity": integrity}}
        times[version] = came_out(age)
    write(f"npm-lists/{name}", json.dumps({
        "name": name, "dist-tags": {"latest": releases[-1][0]}, "versions": versions, "time": times}))


def pypi(name, releases):
    files, page = [], "<!DOCTYPE html>\n"
    for version, age in releases:
        wheel = io.BytesIO()
        with zipfile.ZipFile(wheel, "w") as zipped:
            info = f"{name}-{version}.dist-info"
            zipped.writestr(f"{name}.py", f"print('{name} {version} from pypi')\n")
            zipped.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            zipped.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            zipped.writestr(f"{info}/RECORD", "")
        file = f"{name}-{version}-py3-none-any.whl"
        write(f"wheels/{file}", wheel.getvalue(), age)
        digest = hashlib.sha256(wheel.getvalue()).hexdigest()
        page += f'<a href="../../wheels/{file}#sha256={digest}">{file}</a><br>\n'
        files.append({"filename": file, "url": f"../../wheels/{file}", "hashes": {"sha256": digest},
                      "upload-time": came_out(age)})
    for form in "simple", "pages":
        write(f"{form}/{name}/index.html", page)
    write(f"simple/{name}/index.v1.json", json.dumps({
        "meta": {"api-version": "1.1"}, "name": name, "files": files,
        "versions": [version for version, _ in releases]}))


def cargo(name, releases):
    index = ""
    for version, age in releases:
        manifest = f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n'
        crate = archive({
            f"{name}-{version}/Cargo.toml": manifest,
            f"{name}-{version}/src/lib.rs": f"//! {name} {version} from cargo\n"})
        write(f"cargo/{name}-{version}.crate", crate, age)
        index += json.dumps({
            "name": name, "vers": version, "deps": [], "features": {}, "yanked": False,
            "pubtime": came_out(age)[:19] + "Z", "cksum": hashlib.sha256(crate).hexdigest()}) + "\n"
    write("cargo/config.json", json.dumps({"dl": f"{address}/cargo/{{crate}}-{{version}}.crate"}))
    write(f"cargo/{name[:2]}/{name[2:4]}/{name}", index)


def debian(name, releases):
    packages = ""
    for version, age in releases:
        tree = os.path.join(root, f"trees/{name}-{version}")
        control = (f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.com>\n"
                   f"Description: {name} from apt\n")
        write(f"{tree}/DEBIAN/control", control)
        file = f"{name}_{version}_all.deb"
        os.makedirs(os.path.join(root, "deb/pool"), exist_ok=True)
        built = os.path.join(root, "deb/pool", file)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, built], check=True, stdout=subprocess.DEVNULL)
        with open(built, "rb") as opened:
            package = opened.read()
        write(f"deb/pool/{file}", package, age)
        packages += f"{control}Filename: pool/{file}\nSize: {len(package)}\nSHA256: {hashlib.sha256(package).hexdigest()}\n\n"
    return packages


for name, releases in RELEASES.items():
    npm(name, releases)
    pypi(name, releases)
    cargo(name, releases)
packages = "".join(debian(name, releases) for name, releases in RELEASES.items())
architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
place = f"main/binary-{architecture}/Packages"
write(f"deb/dists/stable/{place}", packages)
write("deb/dists/stable/Release", f"Components: main\nArchitectures: {architecture}\n"
      f"SHA256:\n {hashlib.sha256(packages.encode()).hexdigest()} {len(packages)} {place}\n")
