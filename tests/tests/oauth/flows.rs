//! Each way to log in, and what is on the wire after it.

use crate::world::{World, text};

#[test]
fn a_login_by_code_puts_the_access_token_on_the_wire() {
    let mut world = World::new(&["pkce"]);
    let output = world.log_in().succeeded();
    assert!(output.stdout.contains("connected: example"), "{output}");
    assert_eq!(world.field("status"), "connected");
    assert_eq!(world.call(), "200");
    let bearers = world.api.bearers();
    assert_eq!(bearers.len(), 1);
    assert!(world.authority.is_active(bearers[0].as_ref().unwrap()));
    // the client is known now: nobody is asked again
    let begun = world.begin(&["--connection", "second"]);
    let page = world.authority.approve_and_return(text(&begun, "url"));
    assert_eq!(page.status, 303, "{page:?}");
    world.resume(&begun).succeeded();
    world.watch();
    let list = world.home.authsome(["list"]).output().succeeded();
    assert!(list.stdout.contains("second"), "{list}");
}
