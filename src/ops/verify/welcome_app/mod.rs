//! The application: each server healthy by itself, all of them taking their share, and a whole trip of a quote with its image.

mod settings;
mod trip;

use super::check::{Check, Findings, Verdict};
use super::component::{Component, Trial, View, ask_units, judge_units, list};
use super::observations::{Ask, Observations, last_words};
use super::postgresql;
use crate::ops::hosts::Host;
use crate::ops::http::{self, Call};
use std::collections::BTreeSet;

/// The component.
pub struct WelcomeApp;

const UNITS: &[&str] = &["welcome_app.service"];
const HEALTH: &str = "/api/health";

static RUNNING: Check = Check::fail(
    "welcome_app.running",
    "the application runs and starts with the host",
    "journalctl -u welcome_app says why; systemctl enable --now welcome_app",
);
static HEALTHY: Check = Check::fail(
    "welcome_app.health",
    "every application server is healthy, as two others see it",
    "the answer names the database that it cannot reach",
);
static BALANCED: Check = Check::fail(
    "welcome_app.balanced",
    "requests at the service endpoint reach every application server in turn",
    "a server that gets no requests is down for the load balancer, or not among its servers",
);
static PRIVATE: Check = Check::fail(
    "welcome_app.settings-private",
    "only root can read the application's settings",
    "chown root:root and chmod 0600 the file: it holds the database password",
);
static UPLOAD: Check = Check::fail(
    "welcome_app.upload",
    "a quote with an image is taken at the service endpoint",
    "check the application's log and the primary database",
);
static IMAGES: Check = Check::fail(
    "welcome_app.images",
    "every application server serves that image unchanged",
    "the servers do not share their images: check welcome_app_images and the database or share behind it",
);
static REMOVED: Check = Check::fail(
    "welcome_app.removed",
    "it can be deleted again, and nothing stays",
    "delete the quote that begins with `hactl verify` on the page /admin",
);

static CHECKS: &[&Check] = &[
    &RUNNING,
    &HEALTHY,
    &BALANCED,
    &PRIVATE,
    &settings::DATABASES,
    &settings::BUDGET,
    &settings::CODE,
    &UPLOAD,
    &IMAGES,
    &REMOVED,
];

impl Component for WelcomeApp {
    fn name(&self) -> &'static str {
        "welcome_app"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &[
            "welcome_app_port",
            "welcome_app_config",
            "welcome_app_home",
            "welcome_app_workers",
            "welcome_app_threads",
            "welcome_app_db_name",
        ]
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let mut asks = Vec::new();
        let apps = view.site.members(self.name());
        if apps.contains(&host.name) {
            let config = host.text("welcome_app_config", "/etc/welcome_app");
            asks.push(ask_units("welcome_app.units", UNITS));
            asks.push(Ask::sh(
                "welcome_app.settings",
                format!(
                    "stat -c '%U %a' -- {}",
                    crate::base::quote::sh(&format!("{config}/env"))
                ),
            ));
            asks.extend(settings::asks(host));
        }
        if view.is_viewer(host) {
            for app in apps {
                let call = Call::get(&view.address(app), port(view, app), HEALTH);
                asks.push(Ask::new(
                    format!("welcome_app.health.{app}"),
                    call.request(),
                ));
            }
        }
        if view.viewers.first() == Some(&host.name)
            && let Some((address, port)) = view.entrance()
        {
            asks.push(Ask::new(
                "welcome_app.turns",
                Call::get(&address, port, HEALTH).repeated(turns(apps)),
            ));
        }
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let apps = view.site.members(self.name());
        seen.judge_each(findings, &RUNNING, apps, "welcome_app.units", |_, reply| {
            judge_units(reply, UNITS)
        });
        seen.judge_each(
            findings,
            &PRIVATE,
            apps,
            "welcome_app.settings",
            |_, reply| {
                if reply.code != 0 {
                    return Verdict::Unknown(last_words(reply));
                }
                Verdict::of(
                    matches!(reply.out().trim(), "root 600" | "root 400"),
                    "root 600",
                    reply.out().trim(),
                )
            },
        );
        for app in apps {
            for viewer in &view.viewers {
                let expected = format!("200 with hostname {app}");
                let verdict = match seen.web(viewer, &format!("welcome_app.health.{app}")) {
                    Ok(Ok(response)) => {
                        let itself = response
                            .json()
                            .is_some_and(|body| body["hostname"] == app.as_str());
                        Verdict::of(
                            response.status == 200 && itself,
                            expected,
                            response.summary(),
                        )
                    }
                    Ok(Err(why)) => Verdict::bad(expected, why),
                    Err(verdict) => verdict,
                };
                findings.add(&HEALTHY, format!("{app} seen from {viewer}"), verdict);
            }
        }
        settings::judge(view, seen, apps, findings);
        if view.entrance().is_some() {
            findings.add(&BALANCED, "", balanced(view, seen, apps));
        }
    }

    fn trial(&self, view: &View<'_>, seen: &Observations) -> Option<Box<dyn Trial>> {
        let entrance = view.entrance()?;
        let database = view
            .site
            .members("postgresql")
            .first()
            .and_then(|name| view.site.host(name));
        let name = view
            .site
            .members(self.name())
            .first()
            .and_then(|app| view.site.host(app))
            .map_or_else(String::new, |app| {
                app.text("welcome_app_db_name", "welcome_app")
            });
        Some(Box::new(trip::Trip::new(trip::TripPlan {
            viewers: view.viewers.clone(),
            entrance,
            apps: view
                .site
                .members(self.name())
                .iter()
                .map(|app| (app.clone(), view.address(app), port(view, app)))
                .collect(),
            standbys: postgresql::standbys(view, seen),
            cluster: database
                .map_or_else(String::new, |host| host.text("postgresql_cluster", "main")),
            database: name,
            replicated: postgresql::wanted(view, seen) > 1,
        })))
    }
}

fn port(view: &View<'_>, app: &str) -> u16 {
    view.site
        .host(app)
        .map_or(5000, |host| host.number("welcome_app_port", 5000))
}

/// So many requests that every server must have had one.
fn turns(apps: &[String]) -> usize {
    2 * apps.len() + 1
}

fn balanced(view: &View<'_>, seen: &Observations, apps: &[String]) -> Verdict {
    let Some(viewer) = view.viewers.first() else {
        return Verdict::Unknown("no host can look".to_owned());
    };
    let reply = match seen.reply(viewer, "welcome_app.turns") {
        Ok(reply) => reply,
        Err(verdict) => return verdict,
    };
    let mut names = BTreeSet::new();
    match http::responses(reply, turns(apps)) {
        Ok(responses) => {
            for response in responses {
                if response.status != 200 {
                    return Verdict::bad("200 each time", response.summary());
                }
                names.extend(
                    response
                        .json()
                        .and_then(|body| body["hostname"].as_str().map(str::to_owned)),
                );
            }
        }
        Err(why) => return Verdict::bad("200 each time", why),
    }
    let missing = apps.iter().any(|app| !names.contains(app));
    Verdict::of(
        !missing && names.len() == apps.len(),
        format!("answers of {}", list(apps.iter().map(String::as_str))),
        format!("answers of {}", list(names.iter().map(String::as_str))),
    )
}
