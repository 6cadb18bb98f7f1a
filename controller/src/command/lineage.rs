//! `credpin revoke KEY --cloudtrail …`: one key that the trail knows, or with `--lineage` all of it.

use std::{io, time::Duration};

use credpin_core::{
    containment::Round,
    id::AccessKeyId,
    lineage::{self, Lineage, Target, Trace},
};
use credpin_ledger::Access;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{
    CommandError, Context, Exit, print,
    terminal::{ask, is_anybody_there},
};
use crate::{
    cli,
    cloud::contain::Contain,
    cloudtrail::{self, Reading, Source, Trail, TrailError},
    config,
    report::{self, Paint},
    revoke::{
        self, Choices, Made, Planned, RevokeError,
        lineage::{Ending, Manner, Outcome, Outside},
    },
};

impl Context {
    /// Takes back a key by what the trail at `source` says of it.
    pub(super) async fn revoke_by_trail<C: Contain>(
        &self,
        cloud: &C,
        key: &AccessKeyId,
        source: &Source,
        asked: &cli::Revoke,
    ) -> Result<Exit, CommandError> {
        if asked.lineage {
            return self.revoke_lineage(cloud, key, source, asked).await;
        }
        let (trace, reading) = look(source, key, self.now).await?;
        let trace = trace.ok_or_else(|| RevokeError::NotInTrail(key.clone()))?;
        let choices = Choices {
            isolate: asked.isolate,
            assumed_by: asked.assumed_by.clone(),
        };
        // Reading may have taken long, and a cut is from now on.
        let found = revoke::lineage::one_key(cloud, &trace, key, &choices, clock());
        let mut found = found.await?;
        revoke::find_left_keys(cloud, &mut found.cuts).await;
        print(&if asked.json {
            report::one_key_json(&found, &reading)?
        } else {
            report::one_key(&found, key, &reading, self.paint)
        })?;
        self.make(cloud, found.cuts, asked).await
    }

    async fn revoke_lineage<C: Contain>(
        &self,
        cloud: &C,
        key: &AccessKeyId,
        source: &Source,
        asked: &cli::Revoke,
    ) -> Result<Exit, CommandError> {
        if asked.apply && !asked.yes {
            is_anybody_there()?;
        }
        let manner = Manner {
            isolate: asked.isolate,
            wait: SignedDuration::from_secs(i64::try_from(asked.wait).unwrap_or(i64::MAX)),
            watch: asked.watch,
        };
        let mut terminal = Terminal {
            source,
            key,
            apply: asked.apply,
            agreed: asked.apply && asked.yes,
            json: asked.json,
            paint: self.paint,
            round: 0,
            stop: stops(),
        };
        let outcome = revoke::lineage::end(cloud, &mut terminal, manner).await?;
        let said = report::outcome(&outcome, key, self.paint);
        if asked.json {
            eprint!("{said}");
        } else {
            print(&said)?;
        }
        Ok(exit(&outcome))
    }
}

fn exit(outcome: &Outcome) -> Exit {
    let is_known = outcome.is_whole && outcome.staying == 0;
    match outcome.ending {
        Ending::Over if is_known => Exit::Done,
        Ending::Over | Ending::LateUntil(_) | Ending::Stopped => Exit::Held,
        Ending::Refused => Exit::Changes,
        Ending::Failed | Ending::NoSuchKey => Exit::Failed,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a revocation takes minutes: the clock is read at this edge"
)]
fn clock() -> Timestamp {
    Timestamp::now()
}

/// Reads the trail for the lineage of a key.
async fn look(
    source: &Source,
    key: &AccessKeyId,
    now: Timestamp,
) -> Result<(Option<Trace>, Reading), TrailError> {
    let trail = Trail::open(source, &Access::Variables(config::variables()))?;
    let (lineage, reading) = cloudtrail::read(trail, Lineage::default).await?;
    let target = Target::Key(key.to_string());
    Ok((lineage::trace(lineage, &target, None, now), reading))
}

/// The trail that was named, the clock, and the person at the terminal.
struct Terminal<'a> {
    source: &'a Source,
    key: &'a AccessKeyId,
    apply: bool,
    agreed: bool,
    json: bool,
    paint: Paint,
    round: usize,
    stop: watch::Receiver<bool>,
}

impl Outside for Terminal<'_> {
    fn now(&self) -> Timestamp {
        clock()
    }

    async fn look(&self, now: Timestamp) -> Result<(Option<Trace>, Reading), TrailError> {
        look(self.source, self.key, now).await
    }

    async fn until(&self, then: Timestamp) -> bool {
        let left = then.duration_since(self.now());
        let left = Duration::try_from(left).unwrap_or_default();
        if !self.json && !left.is_zero() {
            eprintln!("Waiting until {then}.");
        }
        let mut stop = self.stop.clone();
        let stopped = async move {
            // Who listens for Ctrl-C is gone only with this process.
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = stopped => false,
            () = tokio::time::sleep(left) => true,
        }
    }

    fn found(
        &mut self,
        trace: &Trace,
        reading: &Reading,
        round: &Round,
        cuts: &[Planned],
    ) -> io::Result<bool> {
        self.round += 1;
        print(&if self.json {
            report::round_json(self.round, trace, reading, round, cuts)?
        } else {
            report::round(self.round, trace, reading, round, cuts, self.paint)
        })?;
        if self.apply && !self.agreed && !cuts.is_empty() {
            self.agreed = ask()?;
        }
        // Without a cut there is nothing to agree to but to wait.
        Ok(self.agreed || (self.apply && cuts.is_empty()))
    }

    fn done(&mut self, made: &Made) -> io::Result<()> {
        let report = report::made(made, self.paint);
        if self.json {
            eprint!("{report}");
            Ok(())
        } else {
            print(&report)
        }
    }
}

/// Becomes true with Ctrl-C: then it ends after the round. The second one ends it at once, which loses
/// nothing either.
fn stops() -> watch::Receiver<bool> {
    let (stop, stops) = watch::channel(false);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if stop.send_replace(true) {
                std::process::exit(130);
            }
            eprintln!(
                "\ncredpin: stopping after this round; Ctrl-C again stops at once. What is cut stays cut."
            );
        }
    });
    stops
}
