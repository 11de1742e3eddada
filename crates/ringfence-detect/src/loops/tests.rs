use super::*;

fn max() -> LoopsMax {
    LoopsMax {
        window_ms: 60_000,
        same_call: 20,
        same_answer: 8,
        same_failure: 12,
        same_answer_to_others: 60,
    }
}

/// Makes a call and answers it; the sign before, or the one after.
fn call(
    agent: &mut Behaviour,
    now_ms: u64,
    (arguments, answer, failed): (&str, &str, bool),
) -> Result<Option<Loops>, Loops> {
    let ticket = now_ms;
    agent.calls((now_ms, ticket), "files/read", arguments).map_err(|sign| sign.what)?;
    Ok(agent.answered(ticket, answer, failed).map(|sign| sign.what))
}

#[test]
fn the_same_call_with_the_same_answer_is_warned_of_and_then_denied() {
    let mut agent = Behaviour::new(LoopsMax { same_call: 100, ..max() });
    let all: Vec<_> = (0..9).map(|at| call(&mut agent, at, ("a", "pending", false))).collect();
    let (fine, warned) = (Ok(None), Ok(Some(Loops::SameAnswer)));
    assert_eq!(all, [fine, fine, warned, fine, fine, warned, warned, fine, Err(Loops::SameAnswer)]);
}

#[test]
fn the_same_call_with_other_answers_may_go_on_longer() {
    let mut agent = Behaviour::new(max());
    for at in 0..20 {
        let done = call(&mut agent, at, ("a", &at.to_string(), false));
        assert!(done.is_ok(), "{at}");
    }
    assert_eq!(call(&mut agent, 20, ("a", "20", false)), Err(Loops::SameCall));
    assert!(call(&mut agent, 21, ("b", "x", false)).is_ok(), "another call may be made");
}

#[test]
fn a_tool_that_fails_alike_whatever_it_is_called_with_is_not_called_on() {
    let mut agent = Behaviour::new(max());
    let mut warned = 0;
    for at in 0..12 {
        match call(&mut agent, at, (&at.to_string(), "no such table", true)) {
            Ok(Some(what)) => {
                assert_eq!(what, Loops::SameFailure);
                warned += 1;
            }
            Ok(None) => {}
            Err(what) => panic!("{what:?} at {at}"),
        }
    }
    assert!(warned >= 2, "{warned}");
    assert_eq!(call(&mut agent, 12, ("other", "", true)), Err(Loops::SameFailure));
    assert!(agent.calls((13, 13), "files/write", "other").is_ok(), "another tool may be called");
}

#[test]
fn different_calls_with_the_same_answer_are_warned_of_early_and_denied_late() {
    let mut agent = Behaviour::new(max());
    let all: Vec<_> =
        (0..61).map(|at| call(&mut agent, at, (&at.to_string(), "done", false))).collect();
    let (last, before) = all.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok));
    let warned = |it: &Result<_, _>| *it == Ok(Some(Loops::SameAnswerToOthers));
    let warned: Vec<usize> = (0..60).filter(|at| warned(&all[*at])).collect();
    assert_eq!(warned, [2, 5, 11, 23, 47, 58]);
    assert_eq!(*last, Err(Loops::SameAnswerToOthers));
    // One that is answered otherwise ends the row; without a limit there is none.
    let mut agent = Behaviour::new(max());
    for at in 0..200 {
        let answer = if at % 59 == 58 { "new" } else { "done" };
        assert!(call(&mut agent, at, (&at.to_string(), answer, false)).is_ok(), "{at}");
    }
    let mut agent = Behaviour::new(LoopsMax { same_answer_to_others: 0, ..max() });
    assert!((0..500).all(|at| call(&mut agent, at, (&at.to_string(), "done", false)).is_ok()));
}

#[test]
fn a_denial_ends_when_its_time_is_over() {
    let mut agent = Behaviour::new(max());
    for at in 0..8 {
        call(&mut agent, at, ("a", "x", false)).unwrap();
    }
    assert!(call(&mut agent, 59_000, ("a", "x", false)).is_err());
    assert!(call(&mut agent, 60_008, ("a", "x", false)).is_ok());
}

#[test]
fn another_answer_in_between_is_progress() {
    let mut agent = Behaviour::new(max());
    for at in 0..19 {
        let answer = if at % 3 == 2 { "new" } else { "same" };
        assert!(call(&mut agent, at, ("a", answer, false)).is_ok(), "{at}");
    }
}

#[test]
fn no_limit_is_none() {
    let none = LoopsMax {
        window_ms: 60_000,
        same_call: 0,
        same_answer: 0,
        same_failure: 0,
        same_answer_to_others: 0,
    };
    let mut agent = Behaviour::new(none);
    for at in 0..5_000 {
        assert_eq!(call(&mut agent, at, ("a", "x", true)), Ok(None));
    }
}

#[test]
fn arguments_that_run_together_are_other_calls() {
    let mut agent = Behaviour::new(LoopsMax { same_call: 2, ..max() });
    agent.calls((0, 0), "ab", "c").unwrap();
    agent.calls((0, 1), "a", "bc").unwrap();
    assert!(agent.calls((0, 2), "ab", "c").is_ok());
    assert!(agent.calls((0, 3), "ab", "c").is_err());
}
