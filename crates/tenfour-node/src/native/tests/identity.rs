use super::*;

#[test]
fn a_grant_is_a_name_or_a_prefix() {
    let grants = Grants::new().subscribe("news").subscribe("rooms/*").publish("*");
    for (channel, expected) in [
        ("news", true),
        ("news/today", false),
        ("new", false),
        ("rooms/", true),
        ("rooms/7", true),
        ("rooms", false),
        ("", false),
    ] {
        assert_eq!(grants.may_subscribe(channel), expected, "{channel}");
        assert!(grants.may_publish(channel));
    }
    assert!(!Grants::new().may_subscribe("news") && !Grants::default().may_publish("news"));
}
