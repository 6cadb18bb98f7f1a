//! A process that answers one JSON line with another, in order.

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use crate::process::{Launch, Running};

/// The peer. Questions asked at once are answered one after the other.
#[derive(Debug)]
pub(crate) struct Peer(Mutex<Pipes>);

#[derive(Debug)]
struct Pipes {
    process: Running,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

#[derive(Serialize)]
struct Numbered<'a, Q> {
    id: u64,
    #[serde(flatten)]
    question: &'a Q,
}

#[derive(Deserialize)]
struct Answered {
    id: Option<u64>,
    #[serde(flatten)]
    answer: Value,
}

impl Peer {
    pub(crate) fn start(launch: Launch) -> Result<Self> {
        let mut process = launch.spawn()?;
        let (questions, answers) = process.pipes()?;
        Ok(Self(Mutex::new(Pipes {
            process,
            questions,
            answers: BufReader::new(answers).lines(),
            asked: 0,
        })))
    }

    pub(crate) async fn ask<Q: Serialize, A: DeserializeOwned>(&self, question: &Q) -> Result<A> {
        let answers = self.ask_all(std::slice::from_ref(question)).await?;
        answers
            .into_iter()
            .next()
            .context("no answer to a question")
    }

    /// Asks all without waiting for answers in between, which makes thousands of questions cheap.
    pub(crate) async fn ask_all<Q: Serialize, A: DeserializeOwned>(
        &self,
        questions: &[Q],
    ) -> Result<Vec<A>> {
        let mut pipes = self.0.lock().await;
        let Pipes {
            process,
            questions: sink,
            answers,
            asked,
        } = &mut *pipes;
        let first = *asked + 1;
        *asked += questions.len() as u64;

        let write = async {
            for (id, question) in (first..).zip(questions) {
                let mut line = serde_json::to_vec(&Numbered { id, question })?;
                line.push(b'\n');
                sink.write_all(&line).await?;
            }
            sink.flush().await?;
            anyhow::Ok(())
        };
        let read = async {
            let mut got = Vec::with_capacity(questions.len());
            for id in (first..).take(questions.len()) {
                let line = answers.next_line().await?;
                let line = line.context("it ended before it had answered")?;
                let answered: Answered =
                    serde_json::from_str(&line).with_context(|| format!("it answered {line}"))?;
                if answered.id != Some(id) {
                    bail!("it answered question {:?} when asked {id}", answered.id);
                }
                let answer = serde_json::from_value(answered.answer)
                    .with_context(|| format!("it answered {line}"))?;
                got.push(answer);
            }
            anyhow::Ok(got)
        };
        tokio::try_join!(write, read)
            .map(|((), got)| got)
            .with_context(|| process.complaint())
    }
}
