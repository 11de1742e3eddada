use super::*;

#[test]
fn a_path_is_normalised_lexically() {
    let path = AbsolutePath::parse("/a//b/./c/../d/").unwrap();
    assert_eq!(path.as_str(), "/a/b/d");
    assert_eq!(AbsolutePath::parse("/../..").unwrap().as_str(), "/");
}
