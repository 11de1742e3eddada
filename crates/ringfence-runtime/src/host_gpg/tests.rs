use super::*;

const LISTING: &str = "\
sec:u:255:22:035AA66E0C6DF9ED:1795294352:::u:::scSC:::+::ed25519:::0:
fpr:::::::::4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED:
grp:::::::::9537C23216761A5C90E273B3C1D123CEC153F015:
uid:u::::1795294352::FAD3856F0F02440418E2CAF6EC5055CA0BF5164E::A <a@b>::::::::::0:
sec:u:2048:1:DB7336DEC03BAAB7:1795294352:::u:::scESC:::+:::23::0:
fpr:::::::::D51A64A12C44317396051724DB7336DEC03BAAB7:
grp:::::::::556BDA7F58478CD4BBDB8B29A87D5890DA20C353:
uid:u::::1795294352::2A539080B9E763D260F904373E96D01441DA18A9::R <r@b>::::::::::0:
ssb:u:2048:1:FBE1DF2396CB0E13:1795294352::::::e:::+:::23:
fpr:::::::::60132717D0773C62BDE9559CFBE1DF2396CB0E13:
grp:::::::::D0AC566FAC12769714C6BECCC2F61F75CED6B2EA:
ssb:r:2048:1:FBE1DF2396CB0E14:1795294352::::::s:::+:::23:
fpr:::::::::60132717D0773C62BDE9559CFBE1DF2396CB0E14:
grp:::::::::D0AC566FAC12769714C6BECCC2F61F75CED6B2EB:
ssb:u:2048:1:FBE1DF2396CB0E15:1795294352::::::s:::+:::23:
fpr:::::::::60132717D0773C62BDE9559CFBE1DF2396CB0E15:
grp:::::::::D0AC566FAC12769714C6BECCC2F61F75CED6B2EC:
ssb:u:2048:1:FBE1DF2396CB0E16:1795294352::::::s:::#:::23:
fpr:::::::::60132717D0773C62BDE9559CFBE1DF2396CB0E16:
grp:::::::::D0AC566FAC12769714C6BECCC2F61F75CED6B2ED:
";

fn grips(fingerprint: &str) -> Vec<String> {
    let keys = secret_keys(LISTING);
    signing(&keys, fingerprint).into_iter().map(|key| key.keygrip.clone()).collect()
}

#[test]
fn a_key_signs_by_itself_where_it_has_no_subkey_that_does() {
    let own = grips("4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED");
    assert_eq!(own, ["9537C23216761A5C90E273B3C1D123CEC153F015"]);
    // What certifies keys is not needed where something else signs, and is not given.
    let subkey = grips("D51A64A12C44317396051724DB7336DEC03BAAB7");
    assert_eq!(subkey, ["D0AC566FAC12769714C6BECCC2F61F75CED6B2EC"]);
}

#[test]
fn a_subkey_is_itself_and_only_one_that_signs() {
    let named = grips("60132717D0773C62BDE9559CFBE1DF2396CB0E15");
    assert_eq!(named, ["D0AC566FAC12769714C6BECCC2F61F75CED6B2EC"]);
    for (fingerprint, why) in [
        ("60132717D0773C62BDE9559CFBE1DF2396CB0E13", "it deciphers"),
        ("60132717D0773C62BDE9559CFBE1DF2396CB0E14", "it is revoked"),
        ("60132717D0773C62BDE9559CFBE1DF2396CB0E16", "it is elsewhere"),
        ("60132717D0773C62BDE9559CFBE1DF2396CB0E17", "there is none"),
        ("", "nothing is named"),
    ] {
        assert_eq!(grips(fingerprint), [""; 0], "{why}");
    }
}

#[test]
fn what_is_no_listing_has_no_keys() {
    for listing in ["", "fpr:::::::::AB:\n", "sec\nssb\n", "grp:::::::::AB:\nsec:::::\n"] {
        let keys = secret_keys(listing);
        assert!(keys.iter().all(|key| key.grip().is_none() && !key.signs), "{listing}");
    }
}
