use super::*;

/// Catches: changes that wait until something else wakes the session. The clock stands still here.
#[test]
fn an_idling_session_hears_at_once() {
    story(|world| async move {
        let (mut idling, mut other) = (world.inbox().await, world.inbox().await);
        idling.play("C: 1 IDLE\nS: + Idling").await;
        world.deliver(&["one"]).await;
        idling.play("S: * 1 EXISTS\nS: * 1 RECENT").await;
        other.play("C: 0 NOOP\nS: * 1 EXISTS\nS: * 0 RECENT\nS: 0 OK *").await;
        other.play("C: 1 STORE 1 FLAGS (\\Deleted)").await;
        idling.play("S: * 1 FETCH (FLAGS (\\Recent \\Deleted))").await;
        other.until("1 OK").await;
        other.play("C: 2 EXPUNGE").await;
        idling.play("S: * 1 EXPUNGE\nC: done\nS: 1 OK IDLE completed\nC: 2 NOOP\nS: 2 OK *").await;
    });
}

#[test]
fn idle_ends_with_done_and_nothing_else() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 IDLE
                S: + Idling
                C: 2 NOOP
                S: 1 BAD Expected DONE
                C: 3 NOOP
                S: 3 OK *",
            )
            .await;
        client.send("4 IDLE\r\nDONE\r\n5 LOGOUT\r\n").await;
        client.play("S: + Idling\nS: 4 OK *\nS: * BYE *\nS: 5 OK *\nS:").await;
    });
}

#[test]
fn a_waiting_connection_is_small() {
    story(|world| async move {
        let client = world.connect().await;
        let size = size_of_val(&serve(client.stream, false, world.place(), world.context.clone()));
        assert!(size < 1500, "{size}");
    });
}
