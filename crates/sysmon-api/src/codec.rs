//! Messages in and out of calls.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use prost::bytes::{Buf, Bytes};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::outgoing::Outgoing;
use crate::wire;

/// Bytes that a call begins with for what comes and for what goes; either grows with its messages. A collector's stream, of
/// which an aggregator has thousands, brings a kilobyte a second and takes some dozen bytes: with the 8 KiB that are usual
/// for each, most of what a stream costs would be buffers.
const BUFFER_BYTES: usize = 512;
/// What waits to be sent goes when it is this much: as usual.
const YIELD_BYTES: usize = 32 * 1_024;

/// The usual codec with small buffers, which do not stay large for one large message.
pub(crate) struct LeanCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for LeanCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for LeanCodec<T, U> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LeanCodec")
    }
}

impl<T, U> Codec for LeanCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = LeanDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        LeanDecoder {
            usual: ProstCodec::<T, U>::raw_decoder(settings()),
            large: None,
            left: LARGE_MAX,
        }
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

/// A message of so many bytes is large, and what it needed is not kept,
const LARGE_BYTES: usize = 2 * 1_024;
/// for the first few that are. A stream that goes on with large ones keeps its buffer like any other.
const LARGE_MAX: u8 = 4;

/// Reads messages, and lets go of a buffer that the first ones have made large.
///
/// A collector's first batch announces all of its series, and is ten times as large as those that follow. The buffer grows to
/// twice its size, and would stay so: once it is empty it is used again from its beginning. That is so only where nobody holds
/// a part of it. So such a message is taken out of the buffer and held until what comes next lies somewhere else, in a new
/// buffer of the size that it needs.
#[derive(Debug)]
pub(crate) struct LeanDecoder<U> {
    usual: ProstDecoder<U>,
    large: Option<Large>,
    /// How many large messages may still be taken out.
    left: u8,
}

#[derive(Debug)]
struct Large {
    /// Keeps the buffer from being used again.
    _held: Bytes,
    /// Where the next message begins as long as the buffer is the same.
    next_at: usize,
}

/// What stands before every message.
const HEADER_BYTES: usize = 5;

impl<U: Message + Default> Decoder for LeanDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.remaining();
        let at = buffer.chunk().as_ptr().addr();
        let next_at = at.wrapping_add(bytes + HEADER_BYTES);
        match &mut self.large {
            Some(large) if large.next_at == at => large.next_at = next_at,
            _ => self.large = None,
        }
        if bytes < LARGE_BYTES || self.left == 0 {
            return self.usual.decode(buffer);
        }
        self.left -= 1;
        let held = buffer.copy_to_bytes(bytes);
        let message = U::decode(&held[..]).map_err(|error| Status::internal(error.to_string()))?;
        self.large = Some(Large { _held: held, next_at });
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}

/// The same for what a server sends to interactive clients, which may be encoded already.
#[derive(Debug)]
pub(crate) struct ManageCodec;

impl Codec for ManageCodec {
    type Encode = Outgoing;
    type Decode = wire::Command;
    type Encoder = ManageEncoder;
    type Decoder = ProstDecoder<wire::Command>;

    fn encoder(&mut self) -> Self::Encoder {
        ManageEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<wire::Response, wire::Command>::raw_decoder(settings())
    }
}

/// Writes [`Outgoing`].
#[derive(Debug)]
pub(crate) struct ManageEncoder;

impl Encoder for ManageEncoder {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, item: Outgoing, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer)
            .map_err(|error| Status::internal(format!("a response cannot be encoded: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use prost::bytes::{BufMut, BytesMut};
    use tonic::body::Body;
    use tonic::codec::Streaming;

    fn batch(values: usize) -> wire::Batch {
        wire::Batch {
            sequence: values as u64,
            retired: vec![1; values],
            ..wire::Batch::default()
        }
    }

    /// A call's body in which every message comes by itself.
    fn body(sizes: &[usize]) -> Body {
        let frames = sizes.iter().map(|size| {
            let message = batch(*size);
            let mut frame = BytesMut::new();
            frame.put_u8(0);
            frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
            message.encode(&mut frame).unwrap();
            Ok::<_, Status>(http_body::Frame::data(frame.freeze()))
        });
        Body::new(Frames(frames.collect::<Vec<_>>().into_iter()))
    }

    struct Frames(std::vec::IntoIter<Result<http_body::Frame<Bytes>, Status>>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
            std::task::Poll::Ready(self.0.next())
        }
    }

    fn decoder() -> LeanDecoder<wire::Batch> {
        LeanCodec::<wire::Batch, wire::Batch>::default().decoder()
    }

    #[tokio::test]
    async fn large_and_small_messages_come_as_they_were_sent() {
        let sizes = [
            9_000, 300, 300, 20_000, 5_000, 0, 4_000, 3_000, 7_000, 300, 9_000, 2,
        ];
        let mut stream = Streaming::new_request(decoder(), body(&sizes), None, None);
        for size in sizes {
            assert_eq!(stream.message().await.unwrap(), Some(batch(size)));
        }
        assert_eq!(stream.message().await.unwrap(), None);
    }

    /// Decodes like [`LeanDecoder`] and tells whether a large message is held.
    struct Watched(LeanDecoder<wire::Batch>);

    impl Decoder for Watched {
        type Item = (wire::Batch, bool);
        type Error = Status;

        fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
            let message = self.0.decode(buffer)?;
            Ok(message.map(|message| (message, self.0.large.is_some())))
        }

        fn buffer_settings(&self) -> BufferSettings {
            settings()
        }
    }

    #[tokio::test]
    async fn what_a_large_first_message_needed_is_let_go_once_its_buffer_is_used_up() {
        let sizes: Vec<usize> = std::iter::once(9_000)
            .chain(std::iter::repeat_n(300, 100))
            .collect();
        let mut stream = Streaming::new_request(Watched(decoder()), body(&sizes), None, None);
        let mut held = 0;
        while let Some((_, is_held)) = stream.message().await.unwrap() {
            held += usize::from(is_held);
        }
        assert!((2..60).contains(&held), "{held} messages of 101 found it held");
    }
}
