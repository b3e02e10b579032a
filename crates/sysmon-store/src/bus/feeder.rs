//! The bounded queue of one subscriber.

use tokio::sync::mpsc;

use crate::bus::{BusEvent, BusSubscription};

/// Fills the queue of one subscriber without ever waiting for it.
pub(super) struct Feeder {
    events: mpsc::Sender<BusEvent>,
    /// The newest thing in the queue is the mark that says that something was dropped after it.
    marked: bool,
}

impl Feeder {
    /// A queue of [`BusSubscription::CAPACITY`] messages and one mark.
    pub(super) fn new() -> (Self, BusSubscription) {
        let (events, receiver) = mpsc::channel(BusSubscription::CAPACITY + 1);
        (
            Self {
                events,
                marked: false,
            },
            BusSubscription::new(receiver),
        )
    }

    /// Puts an event into the queue; when that is full, drops it and leaves the mark.
    pub(super) fn offer(&mut self, event: BusEvent) {
        // The last place is kept for the mark.
        if self.events.capacity() > 1 {
            self.marked = event == BusEvent::Missed;
            self.send(event);
        } else if !self.marked {
            self.marked = true;
            self.send(BusEvent::Missed);
        }
    }

    fn send(&self, event: BusEvent) {
        // Only this feeder fills the queue, and it has seen a free place: what fails here is a subscriber that left, and
        // nobody misses what it is not told.
        let _ = self.events.try_send(event);
    }

    /// Whether the subscriber has left.
    pub(super) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Ends when the subscriber has left.
    pub(super) async fn closed(&self) {
        self.events.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(number: usize) -> BusEvent {
        BusEvent::Message {
            channel: "fleet.0".to_owned(),
            payload: Bytes::from(number.to_string()),
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_said_once_at_its_place() {
        let (mut feeder, mut subscription) = Feeder::new();
        for number in 0..BusSubscription::CAPACITY + 10 {
            feeder.offer(message(number));
        }
        // One place is free again: the next one fits behind the mark.
        assert_eq!(subscription.next().await, Some(message(0)));
        assert_eq!(subscription.next().await, Some(message(1)));
        feeder.offer(message(9_999));
        for number in 2..BusSubscription::CAPACITY {
            assert_eq!(subscription.next().await, Some(message(number)));
        }
        assert_eq!(subscription.next().await, Some(BusEvent::Missed));
        assert_eq!(subscription.next().await, Some(message(9_999)));
        drop(feeder);
        assert_eq!(subscription.next().await, None);
    }
}
