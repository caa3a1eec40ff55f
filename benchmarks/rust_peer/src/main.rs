//! A server of the Rust SDK's for one kind, to compare with: it does what `server.py` does.
//!
//! usage: rust-peer KIND SOCK
//! KIND   map | mapstream | batchmap | transform | sink | reduce
//!
//! BURN_US=N   every message burns N microseconds of CPU first

use std::error::Error;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use numaflow::shared::ServerExtras;
use numaflow::{batchmap, map, mapstream, reduce, sink, sourcetransform};
use tokio::sync::mpsc::{Receiver, Sender};

static BURN: LazyLock<Duration> = LazyLock::new(|| {
    let micros =
        std::env::var("BURN_US").map(|text| text.parse().expect("BURN_US must be a number"));
    Duration::from_micros(micros.unwrap_or(0))
});

fn burn() {
    if !BURN.is_zero() {
        let start = Instant::now();
        while start.elapsed() < *BURN {}
    }
}

struct Echo;

#[async_trait]
impl map::Mapper for Echo {
    async fn map(&self, input: map::MapRequest) -> Vec<map::Message> {
        burn();
        vec![map::Message::new(input.value).with_keys(input.keys)]
    }
}

#[async_trait]
impl mapstream::MapStreamer for Echo {
    async fn map_stream(
        &self,
        input: mapstream::MapStreamRequest,
        output: Sender<mapstream::Message>,
    ) {
        burn();
        let message = mapstream::Message::new(input.value).with_keys(input.keys);
        let _ = output.send(message).await; // the stream is over
    }
}

#[async_trait]
impl batchmap::BatchMapper for Echo {
    async fn batchmap(&self, mut input: Receiver<batchmap::Datum>) -> Vec<batchmap::BatchResponse> {
        let mut responses = Vec::new();
        while let Some(datum) = input.recv().await {
            burn();
            let mut response = batchmap::BatchResponse::from_id(datum.id);
            response.append(batchmap::Message::new(datum.value).with_keys(datum.keys));
            responses.push(response);
        }
        responses
    }
}

#[async_trait]
impl sourcetransform::SourceTransformer for Echo {
    async fn transform(
        &self,
        input: sourcetransform::SourceTransformRequest,
    ) -> Vec<sourcetransform::Message> {
        burn();
        vec![sourcetransform::Message::new(input.value, input.eventtime).with_keys(input.keys)]
    }
}

#[async_trait]
impl sink::Sinker for Echo {
    async fn sink(&self, mut input: Receiver<sink::SinkRequest>) -> Vec<sink::Response> {
        let mut responses = Vec::new();
        while let Some(datum) = input.recv().await {
            burn();
            responses.push(sink::Response::ok(datum.id));
        }
        responses
    }
}

struct Count;

impl reduce::ReducerCreator for Count {
    type R = Count;

    fn create(&self) -> Count {
        Count
    }
}

#[async_trait]
impl reduce::Reducer for Count {
    async fn reduce(
        &self,
        keys: Vec<String>,
        mut input: Receiver<reduce::ReduceRequest>,
        _: &reduce::Metadata,
    ) -> Vec<reduce::Message> {
        let mut count = 0u64;
        while input.recv().await.is_some() {
            burn();
            count += 1;
        }
        vec![reduce::Message::new(count.to_string().into_bytes()).with_keys(keys)]
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, sock] = arguments.as_slice() else {
        return Err("usage: rust-peer KIND SOCK".into());
    };
    macro_rules! serve {
        ($kind:ident, $handler:expr) => {
            $kind::Server::new($handler)
                .with_socket_file(sock)
                .with_server_info_file(format!("{sock}.info"))
                .start()
                .await
        };
    }
    match kind.as_str() {
        "map" => serve!(map, Echo),
        "mapstream" => serve!(mapstream, Echo),
        "batchmap" => serve!(batchmap, Echo),
        "transform" => serve!(sourcetransform, Echo),
        "sink" => serve!(sink, Echo),
        "reduce" => serve!(reduce, Count),
        _ => Err(format!("rust-peer: no such kind: {kind}").into()),
    }
}
