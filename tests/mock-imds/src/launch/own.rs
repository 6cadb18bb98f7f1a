//! What amazon-ec2-metadata-mock does not have: descriptions of hosts, how credentials live, what goes
//! wrong.

use std::path::Path;

use jiff::SignedDuration;

use crate::admin::Listen;
use crate::config::Reader;
use crate::describe::{self, Described, Imds};
use crate::fault::FaultSpec;
use crate::fleet::Address;
use crate::schedule::Schedule;
use crate::state::Settings;

/// The settings that are a mock's own.
pub(super) struct Own {
    /// At least one.
    pub(super) hosts: Vec<Described>,
    pub(super) admin: Option<Listen>,
    seed: Option<u64>,
    /// What is said of every host, before its description.
    service: Imds,
}

impl Own {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let description = reader.text("host", "");
        let mut hosts = vec![Described::default()];
        if !description.is_empty() {
            match describe::read(Path::new(&description)) {
                Ok(described) => hosts = described,
                Err(error) => reader.wrong("host", describe::told(&error)),
            }
        }
        let service = Imds {
            hop_limit: reader.optional("hop-limit", str::parse),
            credential_lifetime: reader.optional("credential-lifetime", time),
            rotate_every: reader.optional("rotate-every", time),
            faults: faults(reader),
            ..Imds::default()
        };
        let own = Self {
            hosts,
            admin: reader.optional("admin", str::parse),
            seed: reader.optional("seed", |seed| {
                seed.parse()
                    .map_err(|_| format!("`{seed}` is no whole number from 0 on"))
            }),
            service,
        };
        own.check_schedules(reader);
        own
    }

    /// Told once, by the setting that is there: in a description it was right alone.
    fn check_schedules(&self, reader: &mut Reader<'_>) {
        let mut schedules = self.hosts.iter().map(|host| self.schedule(&host.imds));
        if let Some(error) = schedules.find_map(Result::err) {
            let culprits = ["rotate-every", "credential-lifetime"];
            let key = culprits.into_iter().find(|key| reader.is_set(key));
            reader.wrong(key.unwrap_or("host"), error.to_string());
        }
    }

    fn schedule(&self, imds: &Imds) -> Result<Schedule, crate::ScheduleError> {
        let Imds {
            credential_lifetime,
            rotate_every,
            ..
        } = self.service;
        Schedule::new(
            credential_lifetime.or(imds.credential_lifetime),
            rotate_every.or(imds.rotate_every),
        )
    }

    /// The settings of one host: `base`, over it its description, over that the settings of all.
    pub(super) fn settings(&self, imds: &Imds, base: Settings) -> Settings {
        let schedule = self.schedule(imds).unwrap_or_default();
        let silent = Imds {
            credential_lifetime: None,
            rotate_every: None,
            ..imds.clone()
        };
        // What could be wrong with it, the schedule, is left out of it.
        let mut settings = silent.over(base).unwrap_or_default();
        settings.schedule = schedule;
        settings.seed = self.seed;
        settings.hop_limit = self.service.hop_limit.or(settings.hop_limit);
        settings.faults.extend(self.service.faults.iter().cloned());
        settings
    }
}

/// Where the host listens that is at this place in a description. `default` goes before what that says
/// where it `is_said`; without either, each host has the next port.
pub(super) fn address(default: &Address, is_said: bool, imds: &Imds, place: usize) -> Address {
    match imds.listen.filter(|_| !is_said) {
        Some(addr) => Address {
            hostname: addr.ip().to_string(),
            port: addr.port(),
        },
        None => Address {
            hostname: default.hostname.clone(),
            port: match default.port {
                0 => 0,
                first => first.saturating_add(u16::try_from(place).unwrap_or(u16::MAX)),
            },
        },
    }
}

fn faults(reader: &mut Reader<'_>) -> Vec<FaultSpec> {
    let mut faults = Vec::new();
    for text in reader.list("fault") {
        match text.parse() {
            Ok(fault) => faults.push(fault),
            Err(error) => reader.wrong("fault", crate::describe::told(&error)),
        }
    }
    faults
}

fn time(text: &str) -> Result<SignedDuration, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no time such as 6h, 10m or 1s"))
}
