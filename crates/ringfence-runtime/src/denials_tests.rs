use std::io::Read as _;

use ringfence_core::{AbsolutePath, Act, Agent, Denial, Grounds, Request};

use super::{Advice, Denials, FILE_BYTES_MAX, Helps, Lasts, Timing};

fn denial(path: &str) -> Denial {
    Denial {
        request: Request {
            agent: Agent("a".to_owned()),
            act: Act::Write(AbsolutePath::parse(path).unwrap()),
            process: None,
        },
        grounds: Grounds::default(),
        entry: Some("sabcdefgh/7".parse().unwrap()),
    }
}

/// The same said to all.
fn helps(grant: String) -> Helps {
    let advice = Advice::Grant(grant);
    Helps { outside: advice.clone(), inside: advice }
}

#[test]
fn a_world_is_told_less_than_the_person_outside() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let suggest = Box::new(|_: &Request| {
        let place = AbsolutePath::parse("/srv/x").unwrap();
        let outside = Advice::Make { place, grant: "fs.write:/srv/x".to_owned(), dir: None };
        Some(Helps { outside, inside: Advice::Grant("fs.write:/srv/x".to_owned()) })
    });
    let denials = Denials::new(suggest, Some(file.reopen().unwrap()), Lasts::GoesOn);
    let mut inside = denials.say(&denial("/srv/x")).text;
    file.read_to_string(&mut inside).unwrap();
    assert!(!inside.contains("make `"), "{inside}");
    assert_eq!(inside.matches("run `ringfence grant fs.write:/srv/x --session").count(), 2);
    let outside = denials.so_far().hints(&"sabcdefgh".parse().unwrap());
    assert!(outside.iter().any(|hint| hint.contains("make `/srv/x` yourself")), "{outside:?}");
}

fn with_file() -> (Denials, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let suggest = Box::new(|_: &Request| Some(helps("fs.write:/srv/x".to_owned())));
    (Denials::new(suggest, Some(file.reopen().unwrap()), Lasts::GoesOn), file)
}

#[test]
fn a_denial_names_its_entry_and_the_grant_that_helps() {
    let (denials, _file) = with_file();
    let text = denials.say(&denial("/etc/x")).text;
    assert!(text.contains("sabcdefgh/7"), "{text}");
    assert!(text.contains("ringfence grant fs.write:/srv/x"), "{text}");
}

#[test]
fn the_same_denial_is_said_once_and_written_each_time() {
    let (denials, mut file) = with_file();
    assert_eq!(denials.say(&denial("/etc/x")).now, Timing::Fresh);
    assert_eq!(denials.say(&denial("/etc/x")).now, Timing::Repeated);
    assert_eq!(denials.say(&denial("/etc/y")).now, Timing::Fresh);
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["resource"], "/etc/x");
}

#[test]
fn the_worlds_file_does_not_grow_without_end() {
    let (denials, file) = with_file();
    let long = format!("/{}", "x".repeat(3000));
    for _ in 0..1000 {
        let _ = denials.say(&denial(&long));
    }
    assert!(file.as_file().metadata().unwrap().len() <= FILE_BYTES_MAX);
}

#[test]
fn the_end_says_three_grants_and_how_many_more_there_are() {
    let suggest = |request: &Request| Some(helps(format!("fs.write:{}", request.act.resource())));
    let denials = Denials::new(Box::new(suggest), None, Lasts::GoesOn);
    let session = "sabcdefgh".parse().unwrap();
    for number in 0..3 {
        let _ = denials.say(&denial(&format!("/srv/{number}")));
        let _ = denials.say(&denial(&format!("/srv/{number}")));
    }
    assert_eq!(denials.so_far().hints(&session).len(), 3);
    for number in 3..5 {
        let _ = denials.say(&denial(&format!("/srv/{number}")));
    }
    let hints = denials.so_far().hints(&session);
    assert_eq!(hints.len(), 4);
    assert!(hints[2].contains("ringfence grant fs.write:/srv/2 --always"), "{hints:?}");
    assert_eq!(hints[3], "and 2 more; to see all that was denied, run `ringfence show sabcdefgh`");
    for number in 5..1000 {
        let _ = denials.say(&denial(&format!("/srv/{number}")));
    }
    let hints = denials.so_far().hints(&session);
    assert!(hints[3].starts_with("and at least 97 more; "), "{hints:?}");
}
