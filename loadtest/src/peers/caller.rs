//! A client of whichever product.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, timeout};

use super::Product;
use super::dialect::{Dialect, Heard};
use super::link::Link;

/// A client is in after this time, or the servers are of no use.
const IN_WITHIN: Duration = Duration::from_secs(20);

/// What a client is there for.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// From 0, unique among those with the same role.
    pub(crate) number: usize,
    pub(crate) role: Role,
    pub(crate) topic: Topic,
}

/// What it does with its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Follow,
    Publish,
}

/// What a message is sent to.
#[derive(Debug, Clone)]
pub(crate) enum Topic {
    /// One client: where a product knows clients by name that is its name, else a topic that nobody else follows.
    Own(String),
    /// Whoever follows it.
    Shared(String),
}

impl Topic {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Own(name) | Self::Shared(name) => name,
        }
    }
}

/// One client, connected.
#[derive(Debug)]
pub(crate) struct Caller {
    link: Link,
    ears: Ears,
}

/// What it makes of what it hears.
#[derive(Debug)]
struct Ears {
    dialect: &'static dyn Dialect,
    client: Client,
    is_in: bool,
    /// What it has to say.
    asked: Vec<String>,
    /// What it is never told.
    refused: Option<String>,
}

impl Caller {
    /// Connects, and follows or is about to publish.
    ///
    /// # Errors
    /// When the server refuses, or takes too long.
    pub(crate) async fn connect(
        product: Product,
        address: &str,
        from: Ipv4Addr,
        client: Client,
    ) -> anyhow::Result<Self> {
        let coming_in = async {
            let dialect = product.dialect();
            let mut link = Link::open(address, &dialect.path(&client), from).await?;
            if let Some(opening) = dialect.opening(&client) {
                link.queue(dialect.kind(), opening.as_bytes());
            }
            let is_in = !dialect.welcomes();
            let mut caller =
                Self { link, ears: Ears { dialect, client, is_in, asked: Vec::new(), refused: None } };
            let Self { link, ears } = &mut caller;
            link.take_begun(|frame| ears.hear(frame, |_| {}))?;
            caller.answer()?;
            while !caller.ears.is_in {
                caller.hear(|_, _| {}).await?;
            }
            anyhow::Ok(caller)
        };
        timeout(IN_WITHIN, coming_in).await.context("it takes too long to come in")?
    }

    /// Waits until something comes, and shows `on` each message of it and when it came. What has to be answered is.
    ///
    /// # Errors
    /// When the connection ended, or something came that is no message.
    ///
    /// # Cancel safety
    /// No message is lost.
    pub(crate) async fn hear(&mut self, mut on: impl FnMut(&[u8], Instant)) -> io::Result<()> {
        self.link.flush().await?;
        let Self { link, ears } = self;
        link.read(|frame, at| ears.hear(frame, |message| on(message, at))).await?;
        self.answer()
    }

    /// Queues a message to its topic; [`Caller::flush`] writes it.
    pub(crate) fn publish(&mut self, message: &str) {
        let Ears { dialect, client, .. } = &self.ears;
        self.link.queue(dialect.kind(), dialect.publication(&client.topic, message).as_bytes());
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    /// When the connection ended, or the server does not take it.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.link.flush().await
    }

    /// Queues what it was asked for.
    fn answer(&mut self) -> io::Result<()> {
        for asked in self.ears.asked.drain(..) {
            self.link.queue(self.ears.dialect.kind(), asked.as_bytes());
        }
        match self.ears.refused.take() {
            Some(refused) => Err(io::Error::other(refused)),
            None => Ok(()),
        }
    }
}

impl Ears {
    fn hear(&mut self, frame: &[u8], mut on: impl FnMut(&[u8])) {
        let mut rest = frame;
        while !rest.is_empty() {
            match self.dialect.hear(&self.client, &mut rest) {
                Heard::Message(message) => on(message),
                Heard::In => self.is_in = true,
                Heard::Asked(asked) => self.asked.push(asked),
                Heard::Talk => {}
                Heard::Refused(text) => {
                    let told = || String::from_utf8_lossy(&text[..text.len().min(300)]).into_owned();
                    self.refused.get_or_insert_with(told);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;
    use tokio_tungstenite::tungstenite::{Bytes, Message};

    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    fn client(role: Role) -> Client {
        Client { number: 0, role, topic: Topic::Own("a".to_owned()) }
    }

    /// A server of one client that says these frames when it was told something, and then what it was told and is told yet.
    async fn server(listener: TcpListener, frames: Vec<Message>, listens: usize) -> Vec<Message> {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let mut told = vec![socket.next().await.unwrap().unwrap()];
        for frame in frames {
            socket.feed(frame).await.unwrap();
        }
        socket.flush().await.unwrap();
        for _ in 0..listens {
            told.push(socket.next().await.unwrap().unwrap());
        }
        told
    }

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    #[tokio::test]
    async fn a_client_comes_in_answers_and_hears_messages_of_any_length() {
        let (listener, address) = listener().await;
        let long = "x".repeat(200_000);
        let binary = |text: String| Message::Binary(Bytes::from(text));
        let frames = vec![
            binary("INFO {}\r\nPONG\r\nPING\r\n".to_owned()),
            Message::Ping(Bytes::from_static(b"p")),
            binary(format!("MSG a 1 200000\r\n{long}\r\nMSG a 1 5\r\nshort\r\n")),
            binary("MSG a 1 3\r\nend\r\n".to_owned()),
        ];
        let calling = async {
            let mut caller =
                Caller::connect(Product::Nats, &address, Ipv4Addr::LOCALHOST, client(Role::Follow))
                    .await
                    .unwrap();
            let mut heard = Vec::new();
            while heard.last().is_none_or(|last| last != b"end") {
                caller.hear(|message, _| heard.push(message.to_vec())).await.unwrap();
            }
            caller.flush().await.unwrap();
            heard.iter().map(Vec::len).collect::<Vec<_>>()
        };
        let both = async { tokio::join!(server(listener, frames, 2), calling) };
        let (told, heard) = timeout(WITHIN, both).await.unwrap();
        assert_eq!(heard, [200_000, 5, 3]);
        assert!(told[0].to_text().unwrap().ends_with("SUB a 1\r\nPING\r\n"), "{told:?}");
        assert!(told.contains(&Message::Pong(Bytes::from_static(b"p"))), "{told:?}");
        assert!(told.contains(&binary("PONG\r\n".to_owned())), "{told:?}");
    }

    #[tokio::test]
    async fn what_a_client_publishes_arrives_as_it_is() {
        let (listener, address) = listener().await;
        let frames = vec![Message::text(r#"0{"sid":"x"}"#), Message::text(r#"40{"sid":"y"}"#)];
        let messages = [10, 200, 70_000].map(|length| format!("\"{}\"", "x".repeat(length)));
        let calling = async {
            let mut caller =
                Caller::connect(Product::SocketIo, &address, Ipv4Addr::LOCALHOST, client(Role::Publish))
                    .await
                    .unwrap();
            messages.iter().for_each(|message| caller.publish(message));
            caller.flush().await.unwrap();
        };
        let both = async { tokio::join!(server(listener, frames, 3), calling) };
        let (told, ()) = timeout(WITHIN, both).await.unwrap();
        for (told, message) in told[1..].iter().zip(&messages) {
            assert_eq!(told.to_text().unwrap(), format!(r#"42["publish","a",{message}]"#));
        }
    }

    #[tokio::test]
    async fn a_refusal_ends_the_connection_with_its_words() {
        let (listener, address) = listener().await;
        let frames = vec![Message::Binary(Bytes::from_static(b"PONG\r\n-ERR 'no'\r\n"))];
        let calling = async {
            let caller = Caller::connect(Product::Nats, &address, Ipv4Addr::LOCALHOST, client(Role::Follow));
            caller.await.unwrap_err().to_string()
        };
        let both = async { tokio::join!(server(listener, frames, 0), calling) };
        let (_, refusal) = timeout(WITHIN, both).await.unwrap();
        assert_eq!(refusal, "-ERR 'no'");
    }
}
