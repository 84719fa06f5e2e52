//! Parameters that an action does not have, and those that it misses: mistakes of whoever gets there, where a task may not be
//! reached at all.
//!
//! Only names are looked at; what a value may be is `action`'s.

use super::action::{Parsed, mentions_omit};
use super::actions;
use super::loader::Loading;
use crate::base::Diagnostic;
use crate::modules::{self, Spec};
use crate::source::{Node, Yaml};

impl Loading<'_> {
    /// What the action does not take, or misses: parameters of other systems and versions, mostly. One that is only given
    /// where some variable is set (`default(omit)`) is told where it is given.
    pub(super) fn unfit(
        &mut self,
        spec: &'static Spec,
        key: &Node,
        parsed: &Parsed,
    ) -> Vec<Diagnostic> {
        let is_module = modules::find(spec.names[0]).is_some();
        let may_be_omitted = |value: &Node| is_module && mentions_omit(value);
        let strange = parsed
            .args
            .iter()
            .filter(|(name, _, value)| {
                let slip = || modules::nearest_parameter(spec, name).is_some();
                let unknown = spec.param(name).is_none() && !actions::takes_any(spec);
                unknown && !may_be_omitted(value) && !slip()
            })
            .map(|(name, span, _)| modules::unknown_parameter(spec, name).at(span));
        let mut unfit: Vec<Diagnostic> = strange.collect();
        if parsed.template.is_none() {
            let before = self.errors.len();
            self.check_presence(spec, key, parsed);
            unfit.append(&mut self.errors.split_off(before));
        }
        unfit
    }

    fn check_presence(&mut self, spec: &'static Spec, key: &Node, parsed: &Parsed) {
        let given = |name: &str| {
            let param = spec.param(name);
            if name == "_raw_params" {
                return parsed.free_form.as_ref();
            }
            let same = |other: &str| {
                param.map_or(other == name, |param| {
                    param.name == other || param.aliases.contains(&other)
                })
            };
            parsed
                .args
                .iter()
                .find(|(other, _, value)| same(other) && value.yaml != Yaml::Null)
                .map(|(_, _, value)| value)
        };
        for param in spec.params.iter().filter(|param| param.required) {
            if given(param.name).is_none() {
                let shown = if param.name == "_raw_params" {
                    "a word"
                } else {
                    &format!("the parameter `{}`", param.name)
                };
                self.errors.push(
                    Diagnostic::new(format!("`{}` needs {shown}", spec.names[0])).at(&key.span),
                );
            }
        }
        for (names, exactly) in spec.one_of {
            let all = names.iter().filter(|name| given(name).is_some()).count();
            // `{{ x | default(omit) }}` may turn out to be absent.
            let certain = names
                .iter()
                .filter(|name| given(name).is_some_and(|node| !mentions_omit(node)))
                .count();
            if certain > 1 || (*exactly && all == 0) {
                let wanted = if *exactly {
                    "exactly one"
                } else {
                    "at most one"
                };
                let names: Vec<_> = names
                    .iter()
                    .map(|name| {
                        if *name == "_raw_params" {
                            "free text"
                        } else {
                            name
                        }
                    })
                    .collect();
                self.errors.push(
                    Diagnostic::new(format!(
                        "`{}` takes {wanted} of `{}`",
                        spec.names[0],
                        names.join("`, `")
                    ))
                    .at(&key.span),
                );
            }
        }
    }
}
