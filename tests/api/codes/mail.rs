//! Codes by mail, and by nothing.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A mail server that takes everything and shows it.
struct MailServer {
    url: String,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mails: Arc<Mutex<Vec<String>>> = Arc::default();
        let taken = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&taken)));
            }
        });
        Self {
            url: format!("smtp://{address}"),
            mails,
        }
    }

    /// The `n`th mail, from 0, when it has come.
    async fn mail(&self, n: usize) -> String {
        until("a mail comes", || async {
            self.mails.lock().expect("no panic").len() > n
        })
        .await;
        self.mails.lock().expect("no panic")[n].clone()
    }
}

/// The server's side of SMTP (RFC 5321), as far as one who sends needs it.
async fn converse(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let mut mail = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match (&mut mail, line.trim_end()) {
            (Some(_), ".") => {
                let done = mail.take().expect("a mail");
                mails.lock().expect("no panic").push(done);
                b"250 taken\r\n"
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
            (None, "DATA") => {
                mail = Some(String::new());
                b"354 go on\r\n"
            }
            (None, "QUIT") => b"221 bye\r\n",
            (None, _) => b"250 yes\r\n",
        };
        stream.write_all(answer).await?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_to_the_mail_server_and_the_rest_to_the_webhook() {
    let server = MailServer::start().await;
    let settings = [
        ("SMTP_URL", server.url.as_str()),
        ("MAIL_FROM", "Chat <no-reply@chat.example.org>"),
        ("PUBLIC_URL", "https://chat.example.org"),
    ];
    for app in App::both_with(&settings).await {
        let before = server.mails.lock().expect("no panic").len();
        let ann = app.person("Ann").await;
        let asked = app
            .anonymous(REQUEST, request(&ann.email, "RESET_PASSWORD"))
            .await;
        let token = text(&asked["data"]["requestCode"]["token"]);
        let mail = server.mail(before).await;
        let (head, body) = mail.split_once("\n\n").expect("a head and a body");
        assert!(
            head.contains("From: Chat <no-reply@chat.example.org>")
                || head.contains("From: \"Chat\" <no-reply@chat.example.org>"),
            "{head}"
        );
        assert!(
            head.contains("To: ann@example.com") && head.contains("Subject: Set a new password"),
            "{head}"
        );
        assert!(
            body.contains("https://chat.example.org/account/reset-password?link="),
            "{body}"
        );
        let after = body.split_once("Your code is ").expect("a code").1;
        let code = Code {
            token,
            code: after[..6].to_owned(),
        };
        assert!(
            !head.contains(&code.code),
            "a subject shows on a locked screen"
        );
        let reset = app
            .anonymous(
                RESET,
                code.input(json!({ "newPassword": "another good one" })),
            )
            .await;
        assert_eq!(reset["errors"], Value::Null, "{reset}");

        asks_for_code(&app, "+12025550173", "SIGN_IN").await;
        assert_eq!(app.mailbox.count(&ann.email), 0);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_without_a_way_sends_no_codes() {
    let production = [
        ("BACKCHANNEL_ENV", "production"),
        ("JWT_SECRET", "a secret that is long enough, surely"),
        ("RATE_LIMITS", "on"),
        ("OTP_WEBHOOK_URL", ""),
    ];
    let app = App::with(&production).await;
    for to in ["+12025550173", "ann@example.com"] {
        let refused = app.anonymous(REQUEST, request(to, "SIGN_IN")).await;
        assert_eq!(error(&refused).0, "FORBIDDEN", "{to}");
    }
    assert_eq!(app.runs_sql("SELECT count(*) FROM codes").await, "0");
    app.finish().await;
}
