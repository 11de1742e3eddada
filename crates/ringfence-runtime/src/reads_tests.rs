use super::*;

fn opened(paths: &[(&str, ReadResult, u64)]) -> Opened {
    let file = |path: &str| -> Box<[u8]> { path.as_bytes().into() };
    Opened {
        parent: Some(1),
        files: paths
            .iter()
            .map(|(path, result, times)| (file(path), File { result: *result, times: *times }))
            .collect(),
        new: paths.iter().map(|(path, ..)| file(path)).collect(),
        unlisted: 0,
    }
}

#[test]
fn what_is_new_is_recorded_once_and_what_was_opened_again_with_the_rest() {
    let mut opened = opened(&[("/a", ReadResult::Found, 3), ("/b", ReadResult::NotGranted, 1)]);
    let new = opened.take_new(7);
    assert_eq!(new.len(), 1);
    assert_eq!(new[0].files.iter().map(|file| file.times).collect::<Vec<_>>(), [3, 1]);
    assert!(opened.take_new(7).is_empty());
    assert!(opened.take_rest(7).is_empty());
    opened.files.get_mut(b"/b".as_slice()).unwrap().times += 4;
    opened.unlisted = 2;
    let rest = opened.take_rest(7);
    assert_eq!(rest[0].files.len(), 1);
    assert_eq!((rest[0].files[0].path.as_str(), rest[0].files[0].times), ("/b", 4));
    assert_eq!(rest[0].unlisted, 2);
}

#[test]
fn many_paths_are_several_entries() {
    let paths: Vec<String> = (0..600).map(|number| format!("/f{number}")).collect();
    let paths: Vec<_> = paths.iter().map(|path| (path.as_str(), ReadResult::Found, 1)).collect();
    let sizes: Vec<usize> = opened(&paths).take_new(7).iter().map(|it| it.files.len()).collect();
    assert_eq!(sizes, [256, 256, 88]);
}

#[test]
fn opens_that_are_not_listed_are_told_even_where_nothing_else_is() {
    let mut none = opened(&[]);
    none.unlisted = 5;
    let rest = none.take_rest(7);
    assert_eq!((rest.len(), rest[0].unlisted, rest[0].process.pid), (1, 5, 7));
}
