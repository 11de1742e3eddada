use super::*;

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn strings(all: &[&[u8]]) -> Vec<u8> {
    all.iter().flat_map(|bytes| string(bytes)).collect()
}

fn login_data(method: &[u8], key: &[u8], host_key: Option<&[u8]>) -> Vec<u8> {
    let mut data = string(b"session");
    data.push(50);
    data.extend(strings(&[b"git", b"ssh-connection", method]));
    data.push(1);
    data.extend(strings(&[b"ssh-ed25519", key]));
    data.extend(host_key.map(string).unwrap_or_default());
    data
}

#[test]
fn a_login_says_who_and_where_only_for_the_key_that_signs() {
    let plain = login_data(b"publickey", b"key", None);
    let expected = Purpose::Login { user: "git", session: b"session", host_key: None };
    assert_eq!(purpose(&plain, b"key"), Some(expected));
    assert_eq!(purpose(&plain, b"another"), None);
    let bound = login_data(HOST_BOUND, b"key", Some(b"host"));
    let host_key = Some(&b"host"[..]);
    let expected = Purpose::Login { user: "git", session: b"session", host_key };
    assert_eq!(purpose(&bound, b"key"), Some(expected));
    // The server's key where it does not belong, none where it does, and another way to log in.
    assert_eq!(purpose(&login_data(b"publickey", b"key", Some(b"host")), b"key"), None);
    assert_eq!(purpose(&login_data(HOST_BOUND, b"key", None), b"key"), None);
    assert_eq!(purpose(&login_data(b"hostbased", b"key", None), b"key"), None);
}

#[test]
fn a_signed_message_says_what_kind_it_is() {
    let data = [SSHSIG, &strings(&[b"git", b"", b"sha512", &[7; 64]])].concat();
    assert_eq!(purpose(&data, b"key"), Some(Purpose::Message { namespace: "git" }));
    let nameless = [SSHSIG, &strings(&[b"", b"", b"sha512", &[7; 64]])].concat();
    assert_eq!(purpose(&nameless, b"key"), None);
}

#[test]
fn what_is_cut_off_or_goes_on_is_signed_for_nothing() {
    let message = [SSHSIG, &strings(&[b"git", b"", b"sha512", &[7; 64]])].concat();
    for whole in [login_data(b"publickey", b"key", None), message] {
        assert!(purpose(&whole, b"key").is_some());
        for end in 0..whole.len() {
            assert_eq!(purpose(&whole[..end], b"key"), None, "{end}");
        }
        assert_eq!(purpose(&[&whole[..], b"x"].concat(), b"key"), None);
    }
    assert_eq!(purpose(&[0xff; 40], b"key"), None);
}

#[test]
fn only_three_questions_are_known() {
    assert_eq!(asked(&[11]), Asked::Identities);
    let sign = [&[13][..], &strings(&[b"key", b"data"]), &[0, 0, 0, 0]].concat();
    assert_eq!(asked(&sign), Asked::Sign { key: b"key", data: b"data" });
    let bind = |forwarding: u8| {
        let parts = strings(&[SESSION_BIND, b"host", b"session", b"signature"]);
        [&[27][..], &parts, &[forwarding]].concat()
    };
    assert_eq!(asked(&bind(0)), Asked::Bind { host_key: b"host", session: b"session" });
    assert_eq!(asked(&bind(1)), Asked::Other);
    for other in [&[][..], &[11, 0], &[13, 0], &[1], &[16], &[24], &[27]] {
        assert_eq!(asked(other), Asked::Other, "{other:?}");
    }
    assert_eq!(asked(&[19]), Asked::Change("removes all keys"));
    assert_eq!(asked(&[22, 0, 0, 0, 0]), Asked::Change("locks it"));
}

#[test]
fn a_list_of_keys_has_the_named_ones_alone() {
    let list = |keys: &[(&[u8], &[u8])]| {
        let count = u32::try_from(keys.len()).unwrap().to_be_bytes();
        let body = keys.iter().flat_map(|(key, comment)| strings(&[key, comment]));
        [&[12][..], &count, &body.collect::<Vec<_>>()].concat()
    };
    let all = list(&[(b"a", b"first"), (b"b", b"second")]);
    assert_eq!(only(&all, |key| key == b"b"), Some(list(&[(b"b", b"second")])));
    assert_eq!(only(&all, |_| false), Some(list(&[])));
    assert_eq!(only(&all[..all.len() - 1], |_| true), None);
    assert_eq!(only(&[12, 0xff, 0xff, 0xff, 0xff], |_| true), None);
    assert_eq!(only(FAILURE, |_| true), None);
}

#[test]
fn a_fingerprint_is_the_one_that_ssh_keygen_shows() {
    let text = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let key = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    assert_eq!(fingerprint(&key), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
}

#[test]
fn an_agents_keys_are_known_by_their_fingerprints() {
    let answer = [&[12][..], &[0, 0, 0, 2], &strings(&[b"a", b"x", b"b", b"y"])].concat();
    let expected = [fingerprint(b"a"), fingerprint(b"b")].into();
    assert_eq!(fingerprints(&answer), Some(expected));
    assert_eq!(fingerprints(&answer[..answer.len() - 1]), None);
    assert_eq!(fingerprints(&[5]), None);
}
