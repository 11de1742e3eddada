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
