//! Installs and logouts, as the coordinator does them.

use super::super::check::Checked;
use super::super::process::{Login, LoginKind};
use super::super::server::{LIFETIME, name};
use super::World;
use crate::coordinator::machine::{Snapshot, Swapped};
use crate::generation::Generation;
use crate::store::Version;
use crate::store::record::{CredentialRecord, Life, LoginId};
use crate::token::TokenSet;

impl World {
    pub(super) fn begin_login(&mut self, id: usize) {
        let process = &self.processes[id];
        if self.healing || !process.acts() || process.login.is_some() {
            return;
        }
        let kind = if self.choices.pick(2) == 0 {
            let login = LoginId(self.lot());
            self.server.login(login);
            LoginKind::Install(login)
        } else {
            self.processes[id].memory = None;
            LoginKind::Logout
        };
        self.tell(|| {
            format!(
                "process {id}: begins to {}",
                if kind == LoginKind::Logout { "log out" } else { "log in" }
            )
        });
        self.fault(if kind == LoginKind::Logout { "a logout" } else { "a new login" });
        let since = self.now;
        self.processes[id].login =
            Some(Login { kind, read: None, since, ends: None, maybe: None, failures: 0 });
    }

    /// The next part of a login or logout: look, then swap.
    pub(super) fn login(&mut self, id: usize) -> Checked {
        if !self.processes[id].acts() {
            return Ok(());
        }
        let Some(mut login) = self.processes[id].login.take() else {
            return Ok(());
        };
        login.since = self.now;
        let Some(read) = login.read.take() else {
            if self.fails(id) {
                // The caller is told, and the login stays as it is.
                return Ok(());
            }
            login.read = Some(self.snapshot(id));
            self.processes[id].login = Some(login);
            return Ok(());
        };
        let version = read.as_ref().map(|read| read.version);
        let settled = match login.kind {
            LoginKind::Install(new) => read.as_ref().is_some_and(|read| read.record.login == new),
            LoginKind::Logout => false,
        };
        if !settled && login.maybe.is_some_and(|expected| expected != version || version.is_none()) {
            return Ok(());
        }
        if let LoginKind::Install(new) = login.kind {
            return self.install(id, new, read, login);
        }
        let lives = read.as_ref().filter(|read| read.record.life != Life::LoggedOut);
        let Some(ended) = lives.map(|read| read.record.logged_out()) else {
            return Ok(());
        };
        if *login.ends.get_or_insert(ended.login) != ended.login {
            return Ok(());
        }
        let token = read.as_ref().and_then(|read| read.record.refresh_token().cloned());
        let version = Version::from_bits(self.lot());
        let of = ended.login;
        let expected = read.map(|read| read.version);
        match self.swap(id, expected, version, ended)? {
            Ok(Swapped::Done) => {
                self.ended.push(of);
                let foreign = self.store.as_ref().and_then(|(_, record, _)| record.mark.clone());
                if foreign.is_none_or(|mark| self.processes[id].own.wrote(&mark)) {
                    self.write(id, version, None)?;
                }
                if let Some(token) = token {
                    self.server.revoke(token.expose_secret());
                }
                Ok(())
            }
            ended => {
                login.failed(ended.is_err(), expected);
                self.processes[id].login = Some(login);
                Ok(())
            }
        }
    }

    pub(super) fn install(
        &mut self,
        id: usize,
        login: LoginId,
        read: Option<Snapshot>,
        mut again: Login,
    ) -> Checked {
        if read.as_ref().is_some_and(|read| read.record.login == login) {
            self.processes[id].dead = None;
            self.processes[id].rests_until = 0;
            return Ok(());
        }
        let family = self.server.families.iter().position(|family| family.login == login).unwrap();
        let set = TokenSet::new(format!("at-{family}-1"))
            .with_refresh_token(name(family, 1))
            .with_expires_in(LIFETIME);
        let generation = read.as_ref().map_or(Generation::ZERO, |read| read.record.generation);
        let before = read.as_ref().map(|read| read.record.login);
        let record = CredentialRecord::installed(login, generation.next(), &set);
        let version = Version::from_bits(self.lot());
        let expected = read.map(|read| read.version);
        match self.swap(id, expected, version, record)? {
            Ok(Swapped::Done) => {
                self.ended.extend(before);
                self.processes[id].dead = None;
                self.processes[id].rests_until = 0;
            }
            ended => {
                again.failed(ended.is_err(), expected);
                self.processes[id].login = Some(again);
            }
        }
        Ok(())
    }
}
