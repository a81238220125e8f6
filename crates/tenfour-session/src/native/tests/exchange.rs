//! One of everything, over a stream that holds.

use super::{
    super::*,
    support::{NOW, carry, message as text, token},
};
use alloc::{sync::Arc, vec, vec::Vec};
use tenfour_delivery::number::{Epoch, Generation, Offset};
use tenfour_wire::native::SharedMessage;

fn client_events(client: &mut ClientSession) -> Vec<ClientEvent> {
    core::iter::from_fn(|| client.poll_event()).collect()
}

#[test]
fn a_subscription_a_publication_and_its_delivery() {
    for transport in [Transport::Stream, Transport::Datagram { mtu: 1200 }] {
        let config = Arc::new(Config::default());
        let mut client = ClientSession::new(config.clone(), transport, Hello::default(), None, NOW);
        let mut server = ServerSession::new(config, transport, NOW);
        client.subscribe(NOW, "lobby", Start::Live).unwrap();
        carry(&mut client, &mut server);
        assert!(matches!(server.poll_event(), Some(ServerEvent::Hello { resume: None, .. })));
        let welcomed = Welcomed {
            token: token(),
            generation: Generation::FIRST,
            epoch: Epoch::new(1),
            dedup_window: None,
            beginning: Beginning::Fresh,
        };
        server.welcome(NOW, &welcomed);
        carry(&mut client, &mut server);
        let Some(ServerEvent::Subscribe { request, channel, .. }) = server.poll_event() else { panic!() };
        assert_eq!(channel, "lobby");
        let after = Offset::new(41);
        let subscription = Subscription {
            channel: 3,
            epoch: Epoch::new(1),
            decision: Decision::Continue,
            after,
            head: after,
        };
        server.subscribed(NOW, request, Ok(subscription));
        carry(&mut client, &mut server);
        let events = client_events(&mut client);
        assert!(
            matches!(&events[..], [ClientEvent::Welcomed(_), ClientEvent::Subscribed { .. }]),
            "{events:?}"
        );

        let message = text("10-4");
        let publication =
            Publication { channel: "lobby".into(), producer: None, ttl: None, message: message.clone() };
        let publish = client.publish(NOW, publication).unwrap();
        carry(&mut client, &mut server);
        let Some(ServerEvent::Publish { publish: number, .. }) = server.poll_event() else { panic!() };
        assert_eq!(number, publish);
        let offset = Offset::new(42);
        let receipt = Receipt { epoch: Epoch::new(1), offset, duplicate: false };
        server.published(NOW, number, Ok(receipt));
        let shared = SharedMessage::new(&message);
        let delivery = Delivery { channel: 3, previous: after, offset, expires: None, message: &shared };
        server.deliver(NOW, delivery).unwrap();
        carry(&mut client, &mut server);
        let delivered = Delivered { channel, epoch: Epoch::new(1), previous: after, offset, message };
        let expected =
            vec![ClientEvent::Published { publish, result: Ok(receipt) }, ClientEvent::Message(delivered)];
        assert_eq!(client_events(&mut client), expected);
    }
}
