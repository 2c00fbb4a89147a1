//! `test source` and `test smarthost`: their lines are written as they come.

use crate::operator::Operator;
use std::cell::RefCell;
use std::io;

use event_listener::Event;
use smol::future::or;
use smol::io::{AsyncWrite, AsyncWriteExt};

use super::session::{Step, Trial};

/// Tries it out, and writes each line to `stream` as `form` makes it. Ends when the other end has gone.
pub(super) async fn run(
    operator: &Operator,
    stream: &mut (impl AsyncWrite + Unpin),
    form: fn(&str) -> Vec<u8>,
    trial: &Trial,
) -> io::Result<Step> {
    let Some(_alone) = operator.tests.try_lock() else {
        return Ok(Step::Refuse(
            "something is being tested already: try again when that has ended".to_owned(),
        ));
    };
    let (waiting, more) = (RefCell::new(Vec::new()), Event::new());
    let tell = |line: String| {
        waiting.borrow_mut().extend(form(&(line + "\n")));
        more.notify(1);
    };
    let writes = async {
        loop {
            let listener = more.listen();
            // What is not written when the test ends is still here.
            let octets = waiting.borrow().clone();
            if octets.is_empty() {
                listener.await;
                continue;
            }
            let written = match stream.write(&octets).await {
                Ok(written) => written,
                Err(error) => return Err(error),
            };
            waiting.borrow_mut().drain(..written);
            stream.flush().await?;
        }
    };
    let tests = async {
        Ok(match trial {
            Trial::Source(account, source) => Box::pin(operator.poller.test(account, source, &tell)).await,
            Trial::Smarthost(config, account) => {
                Box::pin(operator.relay.test(config, account.as_deref(), &tell)).await
            }
        })
    };
    let outcome = or(tests, writes).await?;
    stream.write_all(&waiting.take()).await?;
    Ok(match outcome {
        Ok(()) => Step::Say(match trial {
            Trial::Source(..) => "nothing was collected, changed or noted\n".to_owned(),
            Trial::Smarthost(..) => "it would take mail; nothing was sent\n".to_owned(),
        }),
        Err(why) => Step::Refuse(why),
    })
}
