use super::*;

fn spec() -> WorldSpec {
    let odd = || OsString::from_vec(b"odd \xff\n".to_vec());
    let file = PrivateFile { target: odd().into(), bytes: vec![0, 1, 255], mode: 0o640 };
    WorldSpec {
        base: Base {
            binds: vec!["/usr".into()],
            links: vec![("/bin".into(), "usr/bin".into())],
            files: vec![file.clone()],
            dirs: vec!["/tmp".into()],
        },
        binds: vec![
            Bind { source: "/a".into(), target: odd().into(), access: Access::Write },
            Bind { source: "/b".into(), target: "/b".into(), access: Access::Read },
        ],
        overlays: vec![Overlay {
            lower: "/a".into(),
            upper: "/b/0/upper".into(),
            work: "/b/0/work".into(),
        }],
        masks: vec!["/m".into()],
        hidden: vec!["/h".into()],
        grantable: vec!["/g".into()],
        files: vec![file],
        dirs: vec!["/d".into()],
        env: vec![("KEY".into(), odd()), ("EMPTY".into(), OsString::new())],
        cwd: "/a".into(),
        argv: vec!["sh".into(), odd()],
        identity: Identity { uid: 1000, gid: 1001 },
        idmap: IdMap::Owner { uid: 7, gid: 8 },
        stdio: Stdio::Pty(TerminalSize { rows: 24, cols: 80 }),
        notify: NotifyClasses {
            exec: Switch::On,
            write: Switch::Off,
            connect: Switch::On,
            read: Switch::On,
            ask: Switch::On,
        },
        limits: ResourceLimits { open_files: Some(5), processes: None, file_bytes: Some(1 << 40) },
        seccomp: crate::seccomp::Profile::Strict,
        programs: Programs::NotWhereWritten,
        landlock: Require::Partial,
        inward: Switch::On,
        proxy_port: 3128,
        container: Some(Container {
            engine: Engine::Docker,
            image: "i".to_owned(),
            id: "sha256:0".to_owned(),
            name: "n".to_owned(),
        }),
        hooks: Some(Hooks { library: Some("/l.so".into()), line: odd().into() }),
        scratch: "/s".into(),
    }
}

#[test]
fn a_specification_arrives_as_it_was_sent() {
    let other = WorldSpec { idmap: IdMap::None, stdio: Stdio::Inherit, ..spec() };
    for sent in [spec(), other] {
        let memory = send(&sent).unwrap();
        for _ in 0..2 {
            assert_eq!(format!("{:?}", receive(&memory).unwrap()), format!("{sent:?}"));
        }
    }
}

#[test]
fn what_is_cut_or_too_long_is_no_specification() {
    let mut bytes = Vec::new();
    spec().put(&mut bytes);
    for length in 0..bytes.len() {
        let mut rest = &bytes[..length];
        assert!(WorldSpec::take(&mut rest).is_none(), "{length} bytes");
    }
    bytes.push(0);
    let mut file = File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(&bytes).unwrap();
    assert!(receive(&file).is_err());
    assert!(Vec::<u8>::take(&mut [255_u8; 9].as_slice()).is_none());
}
