//! A sensor and a gateway over a serial line that loses and damages bytes, without any runtime and without a clock: time is
//! a number that is counted up. Messages arrive once and in order, because a datagram that was damaged is dropped by
//! its checksum, and is then one that was lost.
//!
//!     cargo run -p tenfour-session --example serial

use bytes::Bytes;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tenfour_delivery::{number::*, time::Instant};
use tenfour_session::native::*;
use tenfour_wire::native::{Body, Message, Token};

const TRANSPORT: Transport = Transport::Datagram { mtu: 256 };
const MESSAGES: u64 = 2_000;

/// Marks the beginning of a datagram. It may occur within one: then the checksum tells.
const MARK: u8 = 0x7e;

/// One direction of the line: 5 bytes in 10,000 are lost, and as many damaged.
struct Line {
    bytes: VecDeque<u8>,
    noise: u64,
    /// What is read of the datagram under way, its mark first.
    buffer: Vec<u8>,
    dropped: u64,
}

impl Line {
    fn new(noise: u64) -> Self {
        Self { bytes: VecDeque::new(), noise, buffer: Vec::new(), dropped: 0 }
    }

    /// Mark, length, checksum of both and the content (CRC-16/CCITT), content.
    fn send(&mut self, datagram: &[u8]) {
        let len = u16::try_from(datagram.len()).expect("at most the mtu").to_be_bytes();
        let check = checksum(&[&len, datagram]).to_be_bytes();
        for &byte in [MARK].iter().chain(&len).chain(&check).chain(datagram) {
            self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match (self.noise >> 33) % 2_000 {
                0 => {}
                1 => self.bytes.push_back(byte ^ 0x10),
                _ => self.bytes.push_back(byte),
            }
        }
    }

    /// The next datagram that is whole. What does not begin with a mark, or fails its checksum, is skipped up to the next mark.
    fn receive(&mut self) -> Option<Bytes> {
        self.buffer.extend(self.bytes.drain(..));
        loop {
            let skipped = self.buffer.iter().position(|&byte| byte == MARK).unwrap_or(self.buffer.len());
            self.buffer.drain(..skipped);
            let len = u16::from_be_bytes([*self.buffer.get(1)?, *self.buffer.get(2)?]);
            let check = u16::from_be_bytes([*self.buffer.get(3)?, *self.buffer.get(4)?]);
            let end = 5 + usize::from(len);
            if end <= 5 + 256 {
                let content = self.buffer.get(5..end)?;
                if checksum(&[&len.to_be_bytes(), content]) == check {
                    let datagram = Bytes::copy_from_slice(content);
                    self.buffer.drain(..end);
                    return Some(datagram);
                }
            }
            self.dropped += 1;
            self.buffer.remove(0);
        }
    }
}

fn checksum(parts: &[&[u8]]) -> u16 {
    parts.iter().flat_map(|part| *part).fold(0xffff, |crc, &byte| {
        (0..8).fold(
            crc ^ u16::from(byte) << 8,
            |crc, _| if crc >> 15 == 1 { crc << 1 ^ 0x1021 } else { crc << 1 },
        )
    })
}

fn reading(number: u64) -> Message {
    Message { name: Some("reading".into()), body: Body::Text(format!("{number} mV").into()) }
}

fn main() {
    let (config, mut now) = (Arc::new(Config::default()), Instant::ZERO);
    let mut sensor = ClientSession::new(config.clone(), TRANSPORT, Hello::default(), None, now);
    let mut gateway = ServerSession::new(config, TRANSPORT, now);
    let (mut up, mut down) = (Line::new(1), Line::new(2));
    let (mut asked, mut answered, mut received) = (0, 0, 0);
    while answered < MESSAGES {
        while asked < MESSAGES && sensor.request(now, reading(asked)).is_ok() {
            asked += 1;
        }
        while let Some(Transmit::Bytes(datagram)) = sensor.poll_transmit(now) {
            up.send(&datagram);
        }
        while let Some(Transmit::Bytes(datagram)) = gateway.poll_transmit(now) {
            down.send(&datagram);
        }
        now = now + Duration::from_millis(1);
        up.receive().into_iter().for_each(|datagram| gateway.handle_input(now, Input::Bytes(datagram)));
        down.receive().into_iter().for_each(|datagram| sensor.handle_input(now, Input::Bytes(datagram)));
        sensor.handle_timeout(now);
        gateway.handle_timeout(now);
        while let Some(event) = gateway.poll_event() {
            gateway.consumed(now, event.cost());
            match event {
                ServerEvent::Hello { .. } => {
                    let (token, generation, epoch) = (Token([7; 30]), Generation::FIRST, Epoch::new(1));
                    let (dedup_window, beginning) = (None, Beginning::Fresh);
                    gateway.welcome(now, &Welcomed { token, generation, epoch, dedup_window, beginning });
                }
                ServerEvent::Request { request, message } => {
                    assert_eq!(message, reading(received), "in order, and once");
                    received += 1;
                    gateway.reply(now, request, Ok(message)).expect("it is as small as the question");
                }
                event => assert!(!matches!(event, ServerEvent::Closed(_)), "{event:?}"),
            }
        }
        while let Some(event) = sensor.poll_event() {
            sensor.consumed(now, event.cost());
            match event {
                ClientEvent::Reply { result: Ok(message), .. } => {
                    assert_eq!(message, reading(answered), "in order, and once");
                    answered += 1;
                }
                event => assert!(!matches!(event, ClientEvent::Closed(_)), "{event:?}"),
            }
        }
    }
    println!("{received} received and {answered} answered in order, in {now} of the line's time");
    println!("{} and {} marks that no whole datagram followed", up.dropped, down.dropped);
}
