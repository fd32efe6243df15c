//! Every message and every error arrives as it left, in both formats, compressed or not.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Request, http::HeaderMap, middleware};
use sync_core::{Answer, Peer, PeerError, conformance::sample};
use sync_transport::http::{Compression, Format, HttpPeer, Limits, Server};

use crate::{error_of, fake, fake::Asked, fake::FakePeer, push, run_app};

const FORMATS: [Format; 2] = [Format::MessagePack, Format::Json];
const COMPRESSIONS: [Compression; 2] = [Compression::Zstd, Compression::Off];

fn clients(url: &str) -> impl Iterator<Item = HttpPeer> + '_ {
    FORMATS.into_iter().flat_map(|format| COMPRESSIONS.map(|compression| (format, compression))).map(
        move |(format, compression)| {
            HttpPeer::builder(url).format(format).compression(compression).build().unwrap()
        },
    )
}

#[tokio::test]
async fn every_call_and_answer_arrives_as_it_left() {
    let (peer, _server, url) = crate::fake(Limits::default()).await;
    for client in clients(&url) {
        for n in [1, 2] {
            let hello = sample::hello(n);
            assert_eq!(
                Answer::Hello(client.hello(hello.clone()).await.unwrap()),
                sample::answer(hello.clone().into())
            );
            assert_eq!(peer.asked(), [Asked::Hello(hello)]);
        }
        for n in [0, 1, 5, 500] {
            let pull = sample::pull(n);
            let pulled = client.pull(pull.clone()).await.unwrap();
            assert_eq!(Answer::Pull(pulled), sample::answer(pull.clone().into()));
            assert_eq!(peer.asked(), [Asked::Pull(pull.clone())]);

            for pull in [None, Some(pull)] {
                let push = sample::push(sample::some_bytes(n as usize), pull);
                let pushed = client.push(push.clone()).await.unwrap();
                assert_eq!(Answer::Push(pushed), sample::answer(push.clone().into()));
                assert_eq!(peer.asked(), [Asked::Push(push)]);
            }

            let objects = sample::objects(n);
            let page = client.objects(objects.clone()).await.unwrap();
            assert_eq!(Answer::Objects(page), sample::answer(objects.clone().into()));
            assert_eq!(peer.asked(), [Asked::Objects(objects)]);

            let repair = sample::repair(n as usize % 200);
            let repaired = client.repair(repair.clone()).await.unwrap();
            assert_eq!(Answer::Repair(repaired), sample::answer(repair.clone().into()));
            assert_eq!(peer.asked(), [Asked::Repair(repair)]);
        }
    }
}

#[tokio::test]
async fn every_error_arrives_as_it_left() {
    let (peer, _server, url) = crate::fake(Limits::default()).await;
    for client in clients(&url) {
        for error in sample::errors() {
            peer.fail(error.clone());
            assert_eq!(client.hello(sample::hello(1)).await.unwrap_err(), error);
            assert_eq!(client.pull(sample::pull(1)).await.unwrap_err(), error);
            assert_eq!(client.push(push(1)).await.unwrap_err(), error);
            assert_eq!(client.objects(sample::objects(1)).await.unwrap_err(), error);
            assert_eq!(client.watch(sample::LIBRARY).await.err(), Some(error));
        }
        let long = PeerError::Failed("long ".repeat(1000));
        peer.fail(long.clone());
        assert_eq!(
            client.hello(sample::hello(1)).await.unwrap_err(),
            long,
            "compressed like any other answer"
        );
        peer.fail(None);
        assert!(client.hello(sample::hello(1)).await.is_ok());
    }
}

/// The headers of the messages that pass through, in the order of passing.
#[derive(Clone, Default)]
struct Tap(Arc<Mutex<Vec<HeaderMap>>>);

impl Tap {
    async fn around(&self, peer: &FakePeer) -> String {
        let seen = self.clone();
        let app = Server::single(peer.clone()).router().layer(middleware::from_fn(
            move |request: Request, next: middleware::Next| {
                let seen = seen.clone();
                async move {
                    seen.0.lock().unwrap().push(request.headers().clone());
                    let response = next.run(request).await;
                    seen.0.lock().unwrap().push(response.headers().clone());
                    response
                }
            },
        ));
        format!("http://{}/deep/below", run_app(Router::new().nest("/deep/below", app)).await)
    }

    fn passed(&self, header: &str) -> [Option<String>; 2] {
        let mut seen = self.0.lock().unwrap();
        let answer = seen.pop().unwrap();
        let request = seen.pop().unwrap();
        [request, answer].map(|headers| headers.get(header).map(|value| value.to_str().unwrap().to_owned()))
    }
}

#[tokio::test]
async fn large_bodies_are_compressed_and_small_ones_are_not() {
    let tap = Tap::default();
    let url = tap.around(&FakePeer::new()).await;
    let zstd = || Some("zstd".to_owned());
    for client in FORMATS.map(|format| HttpPeer::builder(&url).format(format).build().unwrap()) {
        client.push(sample::push(sample::some_bytes(100), Some(sample::pull(5)))).await.unwrap();
        assert_eq!(tap.passed("content-encoding"), [zstd(), zstd()]);
        client.objects(sample::objects(0)).await.unwrap();
        assert_eq!(tap.passed("content-encoding"), [None, None]);
    }
    let plain = HttpPeer::builder(&url).compression(Compression::Off).build().unwrap();
    plain.push(sample::push(sample::some_bytes(100), Some(sample::pull(5)))).await.unwrap();
    assert_eq!(tap.passed("content-encoding"), [None, None]);
}

#[tokio::test]
async fn messages_have_the_chosen_format() {
    let tap = Tap::default();
    let url = tap.around(&FakePeer::new()).await;
    for format in FORMATS {
        let client = HttpPeer::builder(&url).format(format).build().unwrap();
        client.hello(sample::hello(1)).await.unwrap();
        let media_type = || Some(format.media_type().to_owned());
        assert_eq!(tap.passed("content-type"), [media_type(), media_type()]);
    }
}

/// What a person with curl sees.
#[tokio::test]
async fn json_is_written_for_people() {
    let (peer, _server, url) = fake(Limits::default()).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = format!(
        r#"{{"library":"{}","device":"{}","log_id":null,"from_seq":0,"have":{{"heads":{{}}}},"max_entries":2,"max_bytes":9}}"#,
        sample::LIBRARY,
        sample::LIBRARY,
    );
    let request = http.post(format!("{url}/v1/pull")).header("content-type", "application/json").body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers().get("content-encoding"), None, "only where it is asked for");
    let text = response.text().await.unwrap();
    assert!(text.contains(r#""entries":[{"Change":"AAECAwQF"#), "{text}");
    assert!(text.contains(r#""state_hash":"AgICAgIC"#), "{text}");
    assert_eq!(peer.asked().len(), 1);
}

#[tokio::test]
async fn other_media_types_are_refused_in_words() {
    let (peer, _server, url) = fake(Limits::default()).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = || http.post(format!("{url}/v1/hello"));
    let refused = [
        request().header("content-type", "text/plain").body("hello"),
        request().body(Vec::new()),
        request().header("content-type", "application/json").header("content-encoding", "br").body("{}"),
    ];
    for request in refused {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 415);
        assert!(matches!(error_of(response).await, PeerError::Invalid(_)));
    }
    crate::check_unharmed(&peer, &url).await;
}
