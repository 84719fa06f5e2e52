//! Whether the application servers are the same, and whether they know their databases.

use super::super::check::{Check, Findings, Verdict};
use super::super::component::{View, list};
use super::super::observations::{Ask, Observations, last_words};
use super::super::postgresql;
use crate::base::quote::sh;
use crate::ops::hosts::Host;

pub static DATABASES: Check = Check::fail(
    "welcome_app.databases",
    "the application knows every database, so that it finds the new primary",
    "deploy again to the application servers: WELCOME_APP_DB_HOSTS names them",
);
pub static BUDGET: Check = Check::warn(
    "welcome_app.connection-budget",
    "all application servers together cannot ask for more connections than a database has",
    "fewer welcome_app_workers or welcome_app_threads, or a higher postgresql_max_connections (standbys first)",
);
pub static CODE: Check = Check::warn(
    "welcome_app.same-code",
    "all application servers run the same program",
    "deploy again to all of them",
);

/// The questions to an application server.
pub fn asks(host: &Host) -> Vec<Ask> {
    let env = format!(
        "{}/env",
        host.text("welcome_app_config", "/etc/welcome_app")
    );
    let home = host.text("welcome_app_home", "/opt/welcome_app");
    vec![
        Ask::sh(
            "welcome_app.databases",
            format!("sed -n 's/^WELCOME_APP_DB_HOSTS=//p' {}", sh(&env)),
        ),
        Ask::sh(
            "welcome_app.code",
            format!(
                "cd {} && find . -type f ! -name '*.pyc' -exec sha256sum {{}} + | LC_ALL=C sort -k 2 | sha256sum",
                sh(&home)
            ),
        ),
    ]
}

/// Judges what they answered.
pub fn judge(view: &View<'_>, seen: &Observations, apps: &[String], findings: &mut Findings) {
    let addresses: Vec<(String, String)> = view
        .site
        .members("postgresql")
        .iter()
        .map(|host| (host.clone(), view.address(host)))
        .collect();
    seen.judge_each(
        findings,
        &DATABASES,
        apps,
        "welcome_app.databases",
        |_, reply| {
            if reply.code != 0 {
                return Verdict::Unknown(last_words(reply));
            }
            let text = reply.out();
            let named: Vec<&str> = text
                .trim()
                .trim_matches(['"', '\''])
                .split(',')
                .map(str::trim)
                .collect();
            let mut wrong: Vec<String> = addresses
                .iter()
                .filter(|(host, address)| {
                    !named.contains(&address.as_str()) && !named.contains(&host.as_str())
                })
                .map(|(host, address)| format!("{host} ({address}) is missing"))
                .collect();
            let known = |name: &&&str| {
                addresses
                    .iter()
                    .any(|(host, address)| host == **name || address == **name)
            };
            wrong.extend(
                named
                    .iter()
                    .filter(|name| !known(name))
                    .map(|name| format!("{name} is no database of the inventory")),
            );
            let all: Vec<&str> = addresses.iter().map(|(host, _)| host.as_str()).collect();
            Verdict::of(
                wrong.is_empty(),
                list(all.iter().copied()),
                if wrong.is_empty() {
                    list(all)
                } else {
                    wrong.join("; ")
                },
            )
        },
    );
    findings.add(&BUDGET, "", budget(view, seen, apps));
    same(seen, apps, findings);
}

/// Any server may be the primary, so the one with the fewest counts. A thread has one connection at a time. How many clients the
/// load balancers take has no part in it: they wait for a thread.
fn budget(view: &View<'_>, seen: &Observations, apps: &[String]) -> Verdict {
    let reserved = postgresql::setting(view, seen, "superuser_reserved_connections");
    let fewest = postgresql::setting(view, seen, "max_connections")
        .into_iter()
        .map(|(host, most)| {
            let kept = reserved
                .iter()
                .find(|(other, _)| *other == host)
                .map_or(0, |(_, kept)| *kept);
            (most.saturating_sub(kept), host)
        })
        .min();
    let Some((most, server)) = fewest else {
        return Verdict::Unknown("no database server says how many it has".to_owned());
    };
    let wanted: usize = apps
        .iter()
        .filter_map(|app| view.site.host(app))
        .map(|app| {
            app.number::<usize>("welcome_app_workers", 2)
                * app.number::<usize>("welcome_app_threads", 8)
        })
        .sum();
    Verdict::of(
        wanted <= most,
        format!("{most} at most, which {server} has for them"),
        format!("{wanted} of {most}"),
    )
}

fn same(seen: &Observations, apps: &[String], findings: &mut Findings) {
    let first = apps.iter().find_map(|app| {
        let reply = seen.reply(app, "welcome_app.code").ok()?;
        (reply.code == 0).then(|| (app, reply.out().into_owned()))
    });
    seen.judge_each(
        findings,
        &CODE,
        apps,
        "welcome_app.code",
        |_, reply| match &first {
            Some((other, digest)) if reply.code == 0 => {
                let same = reply.out() == digest.as_str();
                Verdict::of(
                    same,
                    format!("the files of {other}"),
                    if same { "the same" } else { "other files" },
                )
            }
            _ => Verdict::Unknown(last_words(reply)),
        },
    );
}
