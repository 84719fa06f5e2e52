//! `hactl vault`: encrypted files and values in ansible-vault's format.
//!
//! Files are replaced whole or not at all and are 0600. A secret is never taken from the command line, where the
//! process list would show it.

mod editor;

use super::{Global, Outcome};
use crate::base::{Diagnostic, Diagnostics, Result, exit};
use crate::report;
use crate::vault::{Passwords, Secret, Source, id_of, is_vault, store};
use std::fmt::Write as _;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The password file that `hactl init` writes; it is found without being named.
pub const PASSWORD_FILE: &str = ".vault-password";
const PROMPT: &str = "Vault password";
const STDIN: &str = "-";

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Encrypt files in place
    Encrypt(Files),
    /// Decrypt files in place
    Decrypt(Files),
    /// Print decrypted files
    View {
        /// Files; `-` is stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Change an encrypted file in $EDITOR
    Edit {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Encrypt files with another password
    Rekey {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// File that holds the new password, or a program that prints it; asked for when not given
        #[arg(long, value_name = "FILE")]
        new_vault_password_file: Option<PathBuf>,
    },
    /// Write a new encrypted file in $EDITOR
    Create {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a value as `!vault` text for a YAML file
    #[command(alias = "encrypt_string")]
    EncryptString {
        /// File that holds the value; without it stdin, or a prompt on a terminal. The line end of a single line is
        /// not part of the value
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The variable's name
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Files {
    /// Files; `-` is stdin, written to stdout
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write here instead of in place; `-` is stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The vault passwords that the flags, the environment and the project give. Nothing is read yet.
pub fn passwords(global: &Global) -> Passwords {
    Passwords::new(sources(global, &global.project, false))
}

/// The same, asking twice at a prompt: for what is encrypted for the first time.
fn new_passwords(global: &Global) -> Passwords {
    Passwords::new(sources(global, &global.project, true))
}

/// Password sources, the named ones before what lies in the project folder.
pub(super) fn sources(global: &Global, project: &Path, confirm: bool) -> Vec<Source> {
    let mut sources: Vec<Source> = global
        .vault_password_file
        .iter()
        .map(|path| Source::File(expand_home(path)))
        .collect();
    if global.ask_vault_pass {
        sources.push(Source::Prompt {
            text: PROMPT,
            confirm,
        });
    }
    if let Some(password) = std::env::var("HACTL_VAULT_PASSWORD")
        .ok()
        .filter(|text| !text.is_empty())
    {
        sources.push(Source::Text(Secret::new(password), "HACTL_VAULT_PASSWORD"));
    }
    if sources.is_empty() {
        sources.extend(project_source(project).map(Source::File));
    }
    sources
}

/// `.vault-password`, or what the project's ansible.cfg names. Like Ansible, not from a folder in which anybody
/// could have put it.
fn project_source(project: &Path) -> Option<PathBuf> {
    let anybody = std::fs::metadata(project).ok()?.permissions().mode() & 0o002 != 0;
    let own = project.join(PASSWORD_FILE);
    if anybody {
        return None;
    }
    if own.is_file() {
        return Some(own);
    }
    let config = super::config::Config::read(project).ok()?;
    let named = config.in_defaults("vault_password_file")?;
    Some(project.join(expand_home(Path::new(named))))
}

/// A path whose `~` is the user's own folder.
pub(super) fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    match args.verb {
        Verb::Encrypt(files) => encrypt(&new_passwords(global), &files),
        Verb::Decrypt(files) => decrypt(&passwords(global), &files),
        Verb::View { files } => view(&passwords(global), &files),
        Verb::Edit { file } => edit(&passwords(global), &file).map_err(|error| vec![error]),
        Verb::Rekey {
            files,
            new_vault_password_file,
        } => {
            let new = match new_vault_password_file {
                Some(path) => Source::File(expand_home(&path)),
                None => Source::Prompt {
                    text: "New vault password",
                    confirm: true,
                },
            };
            rekey(&passwords(global), &Passwords::new([new]), &files)
        }
        Verb::Create { file } => create(&new_passwords(global), &file).map_err(|error| vec![error]),
        Verb::EncryptString { file, name } => {
            encrypt_string(&new_passwords(global), file.as_deref(), name.as_deref())
                .map_err(|error| vec![error])
        }
    }
}

fn encrypt(passwords: &Passwords, args: &Files) -> Outcome {
    convert(args, |path| {
        let plain = Zeroizing::new(read(path)?);
        if std::str::from_utf8(&plain).is_ok_and(is_vault) {
            return Err(
                Diagnostic::new(format!("`{}` is encrypted already", shown(path)))
                    .help("`hactl vault rekey` changes its password"),
            );
        }
        passwords
            .encrypt(&plain, None)
            .map(|text| Zeroizing::new(text.into_bytes()))
    })
}

fn decrypt(passwords: &Passwords, args: &Files) -> Outcome {
    convert(args, |path| {
        let text = read_vault(path)?;
        passwords
            .decrypt(&text)
            .map(Zeroizing::new)
            .map_err(|error| about(path, error))
    })
}

/// All files are converted before the first is written, and all errors are shown at once.
fn convert(args: &Files, convert: impl Fn(&Path) -> Result<Zeroizing<Vec<u8>>>) -> Outcome {
    if args.output.is_some() && args.files.len() > 1 {
        return Err(vec![
            Diagnostic::new("`--output` takes one file")
                .help("leave it out to convert the files in place"),
        ]);
    }
    let contents = each(&args.files, |path| convert(path))?;
    for (path, content) in args.files.iter().zip(contents) {
        write(args.output.as_ref().unwrap_or(path), &content).map_err(|error| vec![error])?;
    }
    Ok(exit::DONE)
}

fn view(passwords: &Passwords, files: &[PathBuf]) -> Outcome {
    let open = |path: &Path| {
        passwords
            .decrypt(&read_vault(path)?)
            .map(Zeroizing::new)
            .map_err(|error| about(path, error))
    };
    for content in each(files, open)? {
        write(Path::new(STDIN), &content).map_err(|error| vec![error])?;
    }
    Ok(exit::DONE)
}

fn edit(passwords: &Passwords, file: &Path) -> Result<u8> {
    let opened = passwords
        .open(&read_vault(file)?)
        .map_err(|error| about(file, error))?;
    let before = Zeroizing::new(opened.plain.clone());
    let after = editor::edit(file, &before)?;
    if *after == *before {
        report::say(&format!("`{}` is unchanged", shown(file)));
    } else {
        store::replace(file, opened.seal(&after).as_bytes())?;
    }
    Ok(exit::DONE)
}

fn create(passwords: &Passwords, file: &Path) -> Result<u8> {
    if file.symlink_metadata().is_ok() {
        return Err(Diagnostic::refused(format!("`{}` exists already", shown(file)))
            .help("`hactl vault edit` changes an encrypted file, `hactl vault encrypt` encrypts a plain one"));
    }
    // Before the editor: nobody should type a file that then cannot be saved.
    passwords.load()?;
    let plain = editor::edit(file, b"")?;
    store::create(file, passwords.encrypt(&plain, None)?.as_bytes())?;
    Ok(exit::DONE)
}

fn rekey(old: &Passwords, new: &Passwords, files: &[PathBuf]) -> Outcome {
    let plain = each(files, |path| {
        let text = read_vault(path)?;
        let plain = old
            .decrypt(&text)
            .map(Zeroizing::new)
            .map_err(|error| about(path, error))?;
        Ok((plain, id_of(&text).map(str::to_owned)))
    })?;
    new.load().map_err(|error| vec![error])?;
    for (path, (plain, id)) in files.iter().zip(plain) {
        new.encrypt(&plain, id.as_deref())
            .and_then(|text| write(path, text.as_bytes()))
            .map_err(|error| vec![error])?;
    }
    Ok(exit::DONE)
}

fn encrypt_string(passwords: &Passwords, file: Option<&Path>, name: Option<&str>) -> Result<u8> {
    let value = match file {
        None if std::io::stdin().is_terminal() => {
            let asked = Passwords::new([Source::Prompt {
                text: "Value",
                confirm: true,
            }]);
            Zeroizing::new(asked.first()?.expose().as_bytes().to_vec())
        }
        file => Zeroizing::new(read(file.unwrap_or(Path::new(STDIN)))?),
    };
    let value: &[u8] = match value.strip_suffix(b"\n") {
        Some(line) if !line.contains(&b'\n') => line,
        _ => &value,
    };
    let mut text = name.map(|name| format!("{name}: ")).unwrap_or_default();
    text.push_str("!vault |\n");
    for line in passwords.encrypt(value, None)?.lines() {
        let _ = writeln!(text, "  {line}");
    }
    report::out(&text);
    Ok(exit::DONE)
}

/// Does the same with every file and gives all results, or all errors.
fn each<T>(
    files: &[PathBuf],
    mut work: impl FnMut(&Path) -> Result<T>,
) -> Result<Vec<T>, Vec<Diagnostic>> {
    let mut errors = Diagnostics::default();
    let results: Vec<T> = files
        .iter()
        .filter_map(|path| errors.take(work(path)))
        .collect();
    errors.finish(results)
}

fn read_vault(path: &Path) -> Result<String> {
    let text = String::from_utf8(read(path)?).unwrap_or_default();
    if is_vault(&text) {
        return Ok(text);
    }
    Err(
        Diagnostic::new(format!("`{}` is not encrypted", shown(path)))
            .help("`hactl vault encrypt` encrypts a plain file"),
    )
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new(STDIN) {
        return store::read(path);
    }
    let mut content = Vec::new();
    let read = std::io::stdin().read_to_end(&mut content);
    read.map_err(|error| Diagnostic::new("cannot read stdin").note(error.to_string()))?;
    Ok(content)
}

/// Bytes, not text: what was encrypted need not be UTF-8.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    if path != Path::new(STDIN) {
        return store::replace(path, content);
    }
    let mut out = std::io::stdout();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Diagnostic::new("cannot write to stdout").note(error.to_string()))
        }
        _ => Ok(()),
    }
}

fn shown(path: &Path) -> String {
    if path == Path::new(STDIN) {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Names the file of an error of the vault.
fn about(path: &Path, error: Diagnostic) -> Diagnostic {
    Diagnostic {
        message: format!("cannot decrypt `{}`: {}", shown(path), error.message),
        ..error
    }
}

/// Asks for a value without echo, as an extra variable (`--ask-become-pass`).
pub fn ask_variable(name: &str, prompt: &'static str) -> Result<(String, crate::source::Node)> {
    use crate::source::{Node, SourceFile, Span, Yaml};
    let secret = Passwords::new([Source::Prompt {
        text: prompt,
        confirm: false,
    }])
    .first()?;
    crate::base::mask::register(secret.expose());
    let file = std::sync::Arc::new(SourceFile {
        path: "(prompt)".to_owned(),
        text: String::new(),
    });
    let span = Span {
        file,
        line: 1,
        column: 1,
    };
    Ok((
        name.to_owned(),
        Node {
            yaml: Yaml::Unsafe(secret.expose().to_owned()),
            span,
        },
    ))
}
