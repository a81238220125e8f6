use super::{Slot, Window};

impl<P> Window<P> {
    /// What is held and not acknowledged, in its order.
    pub fn payloads(&self) -> impl Iterator<Item = &P> {
        self.slots.iter().filter_map(Slot::as_payload)
    }

    /// What is held and not acknowledged, in its order, to be exchanged: what must not be sent any more still has its
    /// number, so something takes its place. It counts for as many bytes as before.
    ///
    /// ```
    /// use tenfour_delivery::{time::Instant, window::{Config, Content, Credit, Window}};
    ///
    /// let mut window = Window::new(Config::default());
    /// window.grant(Credit { messages: 10, bytes: 1000 });
    /// window.push("secret", 6, None)?;
    /// window.payloads_mut().for_each(|payload| *payload = "(void)");
    /// assert_eq!(window.next_transmit(Instant::ZERO).unwrap().content, Content::Payload(&"(void)"));
    /// # Ok::<(), tenfour_delivery::window::Full<&str>>(())
    /// ```
    pub fn payloads_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.slots.iter_mut().filter_map(|slot| slot.payload_mut())
    }
}
