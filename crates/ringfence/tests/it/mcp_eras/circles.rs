//! An agent that goes in circles through tasks: what comes of them counts, and that one was made says nothing.

use super::*;

#[test]
fn an_agent_that_goes_in_circles_through_tasks_is_warned_and_then_denied() {
    for server in [Era::Old, Era::New] {
        let person = setup(&[server]);
        let settings = person.home().join(".config/ringfence/settings.toml");
        fs::write(&settings, "[tools]\nsame_answer_max = 6\nloop_seconds = 600\n").unwrap();
        person.give(&settings);
        for client in [Era::Old, Era::New] {
            let case = format!("{client:?} {server:?}");
            let mut talk = Talk::of_era(person.ringfence(&["mcp", "run"]), client);
            let mut ask = |name: &str| {
                let response = json!({"action": "accept", "content": {"name": name}});
                came_of_long(&mut talk, "long", server, &response).to_string()
            };
            // What is another each time is no circle, however alike the tasks are.
            for number in 0..3 {
                let said = ask(&format!("number {number}"));
                assert!(!said.contains("warning from ringfence"), "{case}: {said}");
            }
            let all: Vec<String> = (0..6).map(|_| ask("me")).collect();
            let warned = |said: &&String| said.contains("warning from ringfence");
            assert!(all.iter().filter(warned).count() >= 1, "{case}: {all:?}");
            assert!(all.iter().all(|said| !said.contains("denied: ")), "{case}: {all:?}");
            let said = ask("me");
            assert!(said.contains("6 times in a row with the same result"), "{case}: {said}");
            talk.end();
        }
    }
}

#[test]
fn an_agent_that_gets_the_same_error_again_and_again_is_warned_in_it_and_then_denied() {
    for server in [Era::Old, Era::New] {
        let person = setup(&[server]);
        let full = r#"fail(id, -32603, "the disk is full", {"of": [1.5]})"#;
        let python = SERVER.replace(r#"say(id, "touched")"#, full);
        assert_ne!(python, SERVER);
        person.write("server.py", &python);
        let settings = person.home().join(".config/ringfence/settings.toml");
        fs::write(&settings, "[tools]\nsame_failure_max = 6\nloop_seconds = 600\n").unwrap();
        person.give(&settings);
        for client in [Era::Old, Era::New] {
            let case = format!("{client:?} {server:?}");
            let mut talk = Talk::of_era(person.ringfence(&["mcp", "run"]), client);
            // Whatever it is called with.
            let mut ask = |number: usize| {
                let arguments = json!({"text": number.to_string()});
                talk.ask("tools/call", json!({"name": "touch", "arguments": arguments}))
            };
            let all: Vec<Value> = (0..6).map(&mut ask).collect();
            let said = |answer: &Value| answer["error"]["message"].as_str().map(str::to_owned);
            for answer in &all {
                let said = said(answer);
                assert!(
                    said.is_some_and(|it| it.starts_with("the disk is full")),
                    "{case}: {answer}"
                );
                assert_eq!(answer["error"]["code"], -32603, "{case}");
                assert_eq!(answer["error"]["data"], json!({"of": [1.5]}), "{case}");
            }
            let warned: Vec<String> = all.iter().filter_map(said).collect();
            assert_eq!(warned[0], "the disk is full", "{case}: the first is as it came");
            assert!(warned[5].contains("\nwarning from ringfence: "), "{case}: {warned:?}");
            let denied = ask(7).to_string();
            assert!(denied.contains("denied: ") && !denied.contains("disk"), "{case}: {denied}");
            // Another tool may be called.
            let echoed =
                talk.ask("tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
            assert!(echoed["result"]["content"].is_array(), "{case}: {echoed}");
            talk.end();
        }
    }
}
