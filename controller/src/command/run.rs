//! `credpin run`, and how a plan is carried out.

use std::path::Path;

use credpin_ledger::{Access, RecordStore};

use super::{CommandError, Context, Exit, chain, kept};
use crate::{
    cloud::{Observe, WriteIam, contain::Contain},
    config,
    flow::{self, Planned, Run},
    publish::{PublishError, Publisher},
    report::{self, RunFigures},
};

impl Context {
    pub(super) async fn run<C: Observe + WriteIam + Contain>(
        &self,
        cloud: &C,
        json: bool,
        metrics: Option<&Path>,
    ) -> Result<Exit, CommandError> {
        let planned = self.plan(cloud).await?;
        if !json {
            let settings = &self.config.settings;
            self.print(&report::plan(&planned.plan, settings, self.paint))?;
        }
        let cuts = planned.estate.cuts.clone();
        let exit = self.carry_out(cloud, planned, json, metrics).await;
        self.expire_cuts(cloud, &cuts).await;
        exit
    }

    pub(super) async fn carry_out<C: Observe + WriteIam>(
        &self,
        cloud: &C,
        planned: Planned,
        json: bool,
        metrics: Option<&Path>,
    ) -> Result<Exit, CommandError> {
        let Planned { plan, estate } = planned;
        let store = self.published_to();
        let publisher = store.as_ref().map(|store| Publisher {
            store,
            estate: &estate,
            settings: &self.config.settings,
            now: self.now,
        });
        if let Some(publisher) = &publisher {
            published(publisher.before(&plan).await);
        }
        let run = flow::carry_out(plan, cloud).await;
        let exit = self.carried_out(&run, json, metrics).await;
        if let Some(publisher) = &publisher {
            cloud.settle(publisher.wait(&run)).await;
            published(publisher.after(&run).await);
        }
        exit
    }

    /// Where hosts read what pins admit, if the config wants that. A run is done whether or not it
    /// can be said there.
    fn published_to(&self) -> Option<RecordStore> {
        let url = self
            .config
            .records
            .as_ref()
            .filter(|_| self.config.publish_pins)?;
        let access = Access::Variables(config::variables());
        let opened = RecordStore::open(url, &access);
        opened
            .inspect_err(|error| {
                tracing::warn!("what pins admit is not published: {}", chain(error));
            })
            .ok()
    }

    async fn carried_out(
        &self,
        run: &Run,
        json: bool,
        metrics: Option<&Path>,
    ) -> Result<Exit, CommandError> {
        let figures = RunFigures::of(run, self.now);
        self.print(&if json {
            figures.to_json()?
        } else {
            report::run(run, self.paint)
        })?;
        tracing::info!(target: "credpin::run", "{}", report::run_line(run));
        let recorded = self.config.records.is_some();
        kept::keep(
            self.store.as_ref(),
            (metrics, &self.out),
            run,
            &figures,
            recorded,
        )
        .await?;
        self.out.did(figures);
        Ok(match run {
            run if !run.is_complete() => Exit::Failed,
            run if run.plan.is_held() => Exit::Held,
            _ => Exit::Done,
        })
    }
}

/// Says what became of what hosts read.
fn published(result: Result<usize, PublishError>) {
    match result {
        Ok(roles) => tracing::info!(roles, "published what pins admit"),
        Err(error) => tracing::warn!("hosts read what an older run published: {}", chain(&error)),
    }
}
