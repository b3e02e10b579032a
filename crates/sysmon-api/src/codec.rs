//! Messages in and out of calls.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::outgoing::Outgoing;
use crate::wire;

/// Bytes that a call begins with for what comes and for what goes; either grows with its messages. A collector's stream, of
/// which an aggregator has thousands, brings a kilobyte a second and takes some dozen bytes: with the 8 KiB that are usual
/// for each, most of what a stream costs would be buffers.
const BUFFER_BYTES: usize = 512;
/// What waits to be sent goes when it is this much: as usual.
const YIELD_BYTES: usize = 32 * 1_024;

/// The usual codec with small buffers.
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
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
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
