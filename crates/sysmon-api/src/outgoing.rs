//! What goes to an interactive client: a response, of which an update may be encoded in part already.

use prost::Message;
use prost::bytes::BufMut;
use prost::encoding::{self, WireType};
use tonic::codec::EncodeBuf;

use crate::error::{ApiError, Code};
use crate::wire;

/// Field numbers of `control.proto`; the tests compare what they make with the generated code.
const UPDATE: u32 = 5;
const MACHINES: u32 = 6;

/// Adds what changed on one machine to `encoded`, as it lies in an encoded [`wire::Update`]. Whoever tells several clients the
/// same encodes it once, and gives each of them the bytes.
pub fn encode_machine(update: &wire::MachineUpdate, encoded: &mut Vec<u8>) {
    encoding::message::encode(MACHINES, update, encoded);
}

/// An update, with machines that are encoded already beside those that it has itself. A machine is among one of them only, so
/// that nothing depends on their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncodedUpdate {
    /// All but the encoded machines.
    pub update: wire::Update,
    /// What [`encode_machine`] made, one after another.
    pub machines: Vec<u8>,
}

impl EncodedUpdate {
    /// The whole as a message.
    ///
    /// # Errors
    /// [`Code::Internal`] when the encoded machines are none.
    pub fn decode(self) -> Result<wire::Update, ApiError> {
        let mut update = self.update;
        // Merging adds to what is repeated.
        update.merge(self.machines.as_slice()).map_err(|error| {
            let text = format!("an encoded machine is broken ({error}); report this");
            ApiError::new(Code::Internal, text)
        })?;
        Ok(update)
    }

    fn encoded_len(&self) -> usize {
        self.update.encoded_len() + self.machines.len()
    }
}

/// What goes to an interactive client.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// Anything.
    Response(Box<wire::Response>),
    /// An update, which answers no command.
    Update(Box<EncodedUpdate>),
}

impl From<wire::Response> for Outgoing {
    fn from(response: wire::Response) -> Self {
        Self::Response(Box::new(response))
    }
}

impl From<EncodedUpdate> for Outgoing {
    fn from(update: EncodedUpdate) -> Self {
        Self::Update(Box::new(update))
    }
}

impl Outgoing {
    /// What the client gets, as a message.
    ///
    /// # Errors
    /// [`Code::Internal`] as for [`EncodedUpdate::decode`].
    pub fn into_response(self) -> Result<wire::Response, ApiError> {
        match self {
            Self::Response(response) => Ok(*response),
            Self::Update(update) => update.decode().map(|update| wire::Response {
                request_id: 0,
                body: Some(wire::response::Body::Update(update)),
            }),
        }
    }

    /// The number of the subscription that an update belongs to; none for anything else.
    #[must_use]
    pub fn subscription(&self) -> Option<u32> {
        match self {
            Self::Update(update) => Some(update.update.subscription),
            Self::Response(response) => match &response.body {
                Some(wire::response::Body::Update(update)) => Some(update.subscription),
                _ => None,
            },
        }
    }

    /// Writes what [`Outgoing::into_response`] would give, without making it.
    pub(crate) fn encode(&self, buffer: &mut EncodeBuf<'_>) -> Result<(), prost::EncodeError> {
        match self {
            Self::Response(response) => response.encode(buffer),
            Self::Update(update) => {
                let length = update.encoded_len();
                buffer.reserve(
                    length + encoding::key_len(UPDATE) + encoding::encoded_len_varint(length as u64),
                );
                encoding::encode_key(UPDATE, WireType::LengthDelimited, buffer);
                encoding::encode_varint(length as u64, buffer);
                update.update.encode(buffer)?;
                buffer.put_slice(&update.machines);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ManageCodec;
    use tonic::codec::{Codec, EncodeBody, Encoder};
    use tonic_prost::ProstCodec;

    fn machine(number: u32) -> wire::MachineUpdate {
        wire::MachineUpdate {
            machine: number,
            sequence: 7,
            ticks: vec![wire::Tick {
                at_unix_ms: 1_700_000_000_000,
                series_steps: vec![1; number as usize],
                values: vec![-5; number as usize],
            }],
            ..Default::default()
        }
    }

    fn update(own: &[u32], encoded: &[u32]) -> EncodedUpdate {
        let mut machines = Vec::new();
        for number in encoded {
            encode_machine(&machine(*number), &mut machines);
        }
        let update = wire::Update {
            subscription: 3,
            number: 300,
            machines: own.iter().map(|number| machine(*number)).collect(),
            totals: Some(wire::FleetTotals {
                live: 2,
                ..Default::default()
            }),
            window_machines: vec![5, 6],
            has_window: true,
            ..Default::default()
        };
        EncodedUpdate { update, machines }
    }

    /// What a call would send of one message: its five bytes before it, and itself.
    async fn sent<C>(mut codec: C, message: C::Encode) -> Vec<u8>
    where
        C: Codec<Encode: Send, Encoder: Encoder<Error = tonic::Status>>,
    {
        use http_body::Body as _;
        let messages = tokio_stream::iter([Ok(message)]);
        let body = EncodeBody::new_server(codec.encoder(), messages, None, Default::default(), None);
        let mut body = std::pin::pin!(body);
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        frame.unwrap().unwrap().into_data().unwrap().to_vec()
    }

    #[tokio::test]
    async fn what_goes_on_the_wire_is_a_response_with_all_machines() {
        for (own, encoded) in [
            (vec![1], vec![]),
            (vec![], vec![2]),
            (vec![1, 90], vec![2, 3, 200]),
            (vec![], vec![]),
        ] {
            let outgoing = Outgoing::from(update(&own, &encoded));
            assert_eq!(outgoing.subscription(), Some(3));
            let bytes = sent(ManageCodec, outgoing.clone()).await;
            let decoded = wire::Response::decode(&bytes[5..]).unwrap();
            assert_eq!(decoded, outgoing.into_response().unwrap());
            let Some(wire::response::Body::Update(decoded)) = decoded.body else {
                panic!("an update");
            };
            let numbers: Vec<_> = [own, encoded].concat();
            let expected: Vec<_> = numbers.iter().map(|number| machine(*number)).collect();
            assert_eq!(decoded.machines, expected);
            assert_eq!((decoded.number, decoded.window_machines.len()), (300, 2));
        }
    }

    #[tokio::test]
    async fn any_other_response_goes_as_ever() {
        let response = wire::Response {
            request_id: 9,
            body: Some(wire::response::Body::Accepted(wire::Accepted {})),
        };
        let ours = sent(ManageCodec, Outgoing::from(response.clone())).await;
        let usual = sent(ProstCodec::<wire::Response, wire::Command>::default(), response).await;
        assert_eq!(ours, usual);
    }

    #[test]
    fn broken_bytes_are_an_error_and_no_panic() {
        let broken = EncodedUpdate {
            machines: vec![0x32, 0xff, 0xff],
            ..Default::default()
        };
        assert_eq!(broken.decode().unwrap_err().code, Code::Internal);
    }
}
