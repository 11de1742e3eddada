use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use ringfence_core::Answer;

use super::{Choice, Codes, KEYS_MAX, Prompt, Typing, whole_or_cut};

fn prompt() -> (Prompt, Receiver<Choice>) {
    let (reply, answers) = sync_channel(1);
    let prompt = Prompt {
        text: "may `a` run `git push`?".to_owned(),
        subject: None,
        reason: "asked by policy.cedar:1 `no-push`".to_owned(),
        codes: Codes {
            approve: "k7".to_owned(),
            refuse: "m3".to_owned(),
            end: "q2".to_owned(),
            session: "w4z".to_owned(),
        },
        wider: None,
        program: None,
        deadline: Instant::now() + Duration::from_mins(1),
        withdrawn: Arc::default(),
        reply,
        typing: Typing::default(),
    };
    (prompt, answers)
}

#[test]
fn the_approving_code_approves() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"k"));
    assert!(prompt.typed(b"7"));
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Approved)));
}

#[test]
fn a_bare_yes_does_not_answer() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"y\r\n"));
    assert!(answers.try_recv().is_err());
}

#[test]
fn the_letters_of_an_escape_sequence_do_not_add_up_to_a_code() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"k\x1b[7m"));
    assert!(answers.try_recv().is_err());
}

#[test]
fn a_stray_key_before_a_code_costs_nothing_but_itself() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"x"));
    assert!(prompt.typed(b"k7"));
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Approved)));
    let (mut prompt, answers) = self::prompt();
    assert!(!prompt.typed(b"yes\r"));
    assert!(prompt.typed(b"m3"));
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Refused)));
}

#[test]
fn wrong_keys_end_the_question_as_nobodys_answer() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"aa\rb\r\rbc"));
    assert!(prompt.typed(b"k7"));
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Invalid)));
}

#[test]
fn many_bytes_from_a_terminal_cannot_slide_over_the_code() {
    for start in KEYS_MAX - 1..40 {
        let (mut prompt, answers) = prompt();
        let report = "a".repeat(start) + "k7";
        assert!(prompt.typed(report.as_bytes()));
        assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Invalid)), "{report}");
    }
    let (mut prompt, answers) = prompt();
    assert!(prompt.typed(b"\x1b]11;rgb:1k1k/1k1k/1k7\x07"));
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Invalid)));
}

#[test]
fn what_was_typed_and_that_it_is_wrong_is_shown_beside_the_codes() {
    let (mut prompt, _answers) = prompt();
    let shown = |prompt: &Prompt| prompt.lines(24, 80).pop().unwrap().trim().to_owned();
    let codes = "[k7] allow once  [m3] refuse";
    assert_eq!(shown(&prompt), codes);
    prompt.typed(b"k");
    assert_eq!(shown(&prompt), format!("{codes}  `k`"));
    prompt.typed(b"b");
    assert_eq!(shown(&prompt), format!("{codes}  `kb` is a wrong code, 4 keys left"));
    prompt.typed(b"y\r");
    assert_eq!(shown(&prompt), format!("{codes}  `by` is a wrong code, 3 keys left"));
    let drawn = prompt.last_line_drawn((24, 40));
    assert!(drawn.starts_with("\x1b[24;1H\x1b[2K\x1b[7m [k7] allow once"), "{drawn:?}");
    assert!(prompt.lines(24, 40).iter().all(|line| line.chars().count() == 40));
}

#[test]
fn control_c_refuses() {
    let (mut prompt, answers) = prompt();
    assert!(prompt.typed(&[3]));
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Refused)));
}

#[test]
fn a_question_whose_deadline_has_passed_is_expired() {
    let (mut prompt, answers) = prompt();
    prompt.deadline = Instant::now();
    assert!(prompt.expire_if_due());
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Expired)));
}

#[test]
fn no_code_is_another_one_or_begins_or_ends_with_it() {
    for byte in 0..=u8::MAX {
        let Codes { approve, refuse, end, session } = Codes::from_random([byte; 9]);
        assert_eq!([&approve, &refuse, &end, &session].map(String::len), [2, 2, 2, 3]);
        assert!(approve != refuse && approve != end && refuse != end);
        for other in [&approve, &refuse, &end] {
            assert!(!session.starts_with(other) && !session.ends_with(other));
        }
    }
}

#[test]
fn what_is_not_offered_has_no_code_and_more_is_allowed_by_three_letters_alone() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"w4z") && !prompt.typed(b"q2"));
    assert!(answers.try_recv().is_err());
    let offering = || {
        let (mut prompt, answers) = self::prompt();
        prompt.wider = Some("fs.write:/out".to_owned());
        prompt.program = Some("`git`".to_owned());
        (prompt, answers)
    };
    let (mut prompt, answers) = offering();
    let lines = prompt.lines(24, 80);
    let shown: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let choices = ["[w4z] grant fs.write:/out for this session, deleting too", "[q2] end `git`"];
    assert_eq!(shown[shown.len() - 3..shown.len() - 1], choices);
    assert!(!prompt.typed(b"4z") && !prompt.typed(b"\rw4\r") && prompt.typed(b"zz"));
    assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Invalid)));
    for (typed, choice) in
        [(&b"w4z"[..], Choice::ForSession), (b"aw4z", Choice::ForSession), (b"q2", Choice::End)]
    {
        let (mut prompt, answers) = offering();
        assert!(prompt.typed(typed));
        assert_eq!(answers.try_recv(), Ok(choice));
    }
}

#[test]
fn no_text_of_others_begins_a_line() {
    let (mut prompt, _answers) = prompt();
    let padded = |before: usize| {
        let lines = ["SESSION/1", "ringfence: may `a` read `/a`?", "asked by `ask`"];
        let lines = lines.map(|line| format!("{line:<78}")).concat();
        format!("`{}{lines}`", " ".repeat(before))
    };
    for before in 0..100 {
        prompt.text = format!("ringfence: may `a` run /bin/sh {}", padded(before));
        prompt.subject = None;
        prompt.wider = Some(padded(before));
        for _ in 0..2 {
            let lines = prompt.lines(24, 80);
            let ours = lines.iter().filter(|line| !line.starts_with(" | "));
            let ours: Vec<&String> = ours.collect();
            assert!(ours[0].starts_with(" ringfence: may `a` run"), "{lines:#?}");
            assert!(!ours[1..].iter().any(|it| it.starts_with(" ringfence: may")), "{lines:#?}");
            assert!(!ours[1..].iter().any(|it| it.starts_with(" SESSION")), "{lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() == 80), "{lines:#?}");
            prompt.subject = Some(padded(before));
            prompt.text = "ringfence: may `a` run it".to_owned();
        }
    }
}

#[test]
fn a_question_shows_the_whole_command_line_its_reason_and_the_codes() {
    let (mut prompt, _answers) = prompt();
    let words: Vec<String> = (0..40).map(|n| format!("word{n:02}")).collect();
    prompt.text = words.join(" ");
    let lines = prompt.lines(24, 100);
    assert!(lines.iter().all(|line| line.chars().count() == 100), "{lines:#?}");
    let inner = lines.iter().map(|line| line.chars().skip(1).take(98).collect::<String>());
    let inner: Vec<String> = inner.collect();
    let whole: String = inner[..3].iter().map(|line| line.trim_start_matches("| ")).collect();
    assert_eq!(whole.trim_end(), prompt.text);
    assert_eq!(inner[3].trim_end(), prompt.reason);
    assert_eq!(inner[4].trim_end(), "[k7] allow once  [m3] refuse");
}

#[test]
fn what_does_not_fit_is_left_out_of_the_middle_and_counted() {
    let (mut prompt, _answers) = prompt();
    prompt.text = format!("start {} end", "x".repeat(5000));
    for (rows, columns) in [(24, 80), (5, 40), (1, 10), (0, 0)] {
        let lines = prompt.lines(rows, columns);
        let bare = lines.iter().map(|line| line.trim().trim_start_matches("| "));
        let text = bare.collect::<String>().replace(' ', "");
        assert!(text.contains("start") && text.contains("end"), "{text}");
        assert!(text.contains("charactersleftout"), "{text}");
        assert!(text.contains("[k7]allowonce[m3]refuse"), "{text}");
        assert!(lines.len() <= 6, "{lines:#?}");
    }
    assert_eq!(whole_or_cut("short", 5), "short");
    // What is said to be left out, and what is shown, are all there is.
    for room in [0, 10, 40, 86] {
        let shown = whole_or_cut(&"x".repeat(87), room);
        let left_out = shown.split(|it: char| !it.is_ascii_digit()).collect::<String>();
        let kept = shown.chars().filter(|it| *it == 'x').count();
        assert_eq!(kept + left_out.parse::<usize>().unwrap(), 87, "{shown}");
    }
}

#[test]
fn nothing_in_a_question_is_wider_than_it_looks_or_moves_the_cursor() {
    let (mut prompt, _answers) = prompt();
    prompt.text = "\u{6f22}\u{5b57} e\u{301} \u{1b}[2J \u{202e}".to_owned();
    let drawn = prompt.drawing((24, 80));
    let inner = prompt.lines(24, 80).concat();
    assert!(inner.is_ascii() && !inner.chars().any(char::is_control), "{inner:?}");
    assert!(drawn.contains("\\u{6f22}") && !drawn.contains("[2J\u{1b}"), "{drawn:?}");
    // Room is made before the cursor is saved, and all of it is drawn.
    assert!(drawn.starts_with("\n\n\n\u{1b}[3A\u{1b}7"), "{drawn:?}");
    for row in 22..=24 {
        assert!(drawn.contains(&format!("\u{1b}[{row};1H")), "{drawn:?}");
    }
}

#[test]
fn a_file_stands_whole_on_lines_of_its_own_and_its_rule_is_not_cut() {
    let (mut prompt, _answers) = prompt();
    let path = format!("`/home/u/{}/the-end`?", "d".repeat(300));
    prompt.subject = Some(path.clone());
    prompt.reason = format!("asked by `a-rule`: {} (policy.cedar:9)", "because ".repeat(12));
    let lines: Vec<String> = prompt.lines(24, 80);
    let inner =
        |lines: &[String]| lines.iter().map(|line| line.get(1..79).unwrap()).collect::<String>();
    assert_eq!(lines[0].trim(), prompt.text);
    assert!(lines[1..6].iter().all(|line| line.starts_with(" | ")), "{lines:#?}");
    assert_eq!(inner(&lines[1..6]).replace("| ", "").trim_end(), path);
    let reason: Vec<&str> =
        lines[6..8].iter().map(|line| line.trim().trim_start_matches("| ")).collect();
    assert_eq!(reason.join(" "), prompt.reason);
    prompt.subject = Some(format!("`/home/u/{}/the-end`?", "d".repeat(4000)));
    for (rows, columns) in [(24, 80), (6, 40)] {
        let lines = prompt.lines(rows, columns);
        assert!(lines.concat().contains("/the-end`?"), "{lines:#?}");
        assert!(lines.len() <= 2 * rows / 3 + 2, "{lines:#?}");
    }
}

#[test]
fn what_is_not_wholly_shown_cannot_be_chosen() {
    let (mut prompt, answers) = prompt();
    prompt.subject = Some("`/home/u/notes/a`".to_owned());
    prompt.program = Some("`git`".to_owned());
    let shown = |prompt: &Prompt, size: (u16, u16)| {
        let lines = prompt.lines(usize::from(size.0), usize::from(size.1));
        assert!(lines.len() <= usize::from(size.0), "{lines:#?}");
        let text = lines.concat().replace("| ", "").replace(' ', "");
        assert!(!text.contains("leftout"), "{text}");
        for (code, choice) in [("[w4z]", Choice::ForSession), ("[q2]", Choice::End)] {
            assert_eq!(text.contains(code), prompt.offers(choice, size), "{text}");
        }
        text
    };
    let path = format!("/home/u/{}/end", "d".repeat(100));
    prompt.wider = Some(format!("fs.read:{path}"));
    for size in [(10, 60), (12, 60), (24, 80), (24, 40)] {
        assert!(shown(&prompt, size).contains(&format!("grantfs.read:{path}for")), "{size:?}");
    }
    // What is shorter may have room where the other has none.
    let text = shown(&prompt, (6, 60));
    assert!(!text.contains("grant") && text.contains("[q2]end`git`"), "{text}");
    prompt.wider = Some(format!("fs.read:/{}", "d".repeat(2000)));
    assert!(!shown(&prompt, (24, 80)).contains("grant"));
    assert!(!prompt.typed(b"w4z"));
    assert!(answers.try_recv().is_err());
    assert!(prompt.typed(b"\rq2"));
    assert_eq!(answers.try_recv(), Ok(Choice::End));
}
