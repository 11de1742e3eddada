//! What was taken out of a registry's list is not in it, however the list is read again; and an address
//! is for one release, or for none that is known.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_core::{Ecosystem, UrlPath};
use ringfence_proxy::packages::{Keep, Listed, Registries, Registry, Wanted, canonical, filter, where_files_are};

const KINDS: [(Ecosystem, &str); 4] = [
    (Ecosystem::Npm, "application/json"),
    (Ecosystem::Pypi, "application/vnd.pypi.simple.v1+json"),
    (Ecosystem::Pypi, "text/html"),
    (Ecosystem::Cargo, "text/plain"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else { return };
    let (ecosystem, content_type) = KINDS[usize::from(*kind) % KINDS.len()];
    let mut keep = |listed: &Listed| if listed.version.contains('1') { Keep::No } else { Keep::Yes };
    if let Ok(once) = filter((ecosystem, "demo"), (content_type, body), &mut keep) {
        let twice = filter((ecosystem, "demo"), (content_type, &once.body), &mut keep).unwrap();
        assert_eq!(twice.removed, Vec::<String>::new());
        assert_eq!(twice.kept, once.kept);
        assert_eq!(twice.body, once.body);
        assert!(once.removed.iter().all(|version| version.contains('1')));
    }
    let _ = where_files_are(body);
    let Ok(path) = std::str::from_utf8(body).map_err(drop).and_then(|it| UrlPath::parse(it).map_err(drop)) else { return };
    let lists = "https://registry.example/index".parse().unwrap();
    let files = vec!["https://files.example".parse().unwrap()];
    let all = Registries::new(vec![Registry { ecosystem, lists, files }]);
    for host in ["registry.example:443", "files.example:443", "other.example:443"] {
        let meant = all.meant(&host.parse().unwrap(), &path);
        assert_eq!(meant.is_none(), host.starts_with("other"));
        match meant.map(|meant| meant.wanted) {
            Some(Wanted::Release(release)) => {
                assert_eq!(canonical(ecosystem, &release.name), release.name);
            }
            Some(Wanted::List(name)) => assert_eq!(canonical(ecosystem, &name), name),
            Some(Wanted::Unknown | Wanted::Other) | None => {}
        }
    }
});
