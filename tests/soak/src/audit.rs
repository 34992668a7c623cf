//! The figures, and whether they are allowed.

use std::collections::{BTreeMap, HashMap, HashSet};

use tower_oauth_refresh_testkit::{FamilyId, Ledger, TokenHash};

use crate::held::Held;
use crate::protocol::Account;
use crate::run::Plan;
use crate::story;
use crate::world::{Server, World};

pub(crate) struct Audit<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) world: &'a World,
    pub(crate) accounts: Vec<Account>,
    /// Of the last requests, which nothing hurt.
    pub(crate) unserved: Vec<(String, String)>,
    pub(crate) processes: Vec<Process>,
}

pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) warm: Held,
    pub(crate) worn: Held,
}

/// How much more may be held after all the work than after the first part of it: a connection of a pool that
/// was cut is opened again when it is needed.
const MORE_FILES: usize = 4;
const MORE_TASKS: usize = 2;
/// And of anonymous memory, in KiB and in percent, whichever is more: an allocator keeps what it had.
const MORE_MEMORY: u64 = 2048;
const MORE_MEMORY_PERCENT: u64 = 10;

/// How a login ends whose answer was lost.
const LOST: &str = "LostRotation";

/// At least so many of a hundred requests that were not given up are served.
const SERVED_PERCENT: usize = 90;

#[derive(Default)]
struct Table {
    rows: Vec<(String, String, String)>,
    refused: usize,
}

impl Audit<'_> {
    /// Prints everything. Is all of it allowed?
    pub(crate) fn print(&self) -> bool {
        let fates = self.fates();
        println!("\nwhat the proxies did");
        for (name, proxy) in self.world.proxies() {
            let done: Vec<_> = proxy.done().map(|(kind, times)| format!("{kind:?} {times}")).collect();
            println!("  {name}: {} exchanges; {}", proxy.exchanges(), done.join(", "));
        }
        println!("\nwhat became of the requests");
        for (fate, times) in &fates {
            println!("  {fate:<44} {times:>8}");
        }
        println!("\nwhat each process held at rest, after a fifth of the work -> after all of it");
        for Process { name, warm, worn } in &self.processes {
            println!(
                "  {name:<14} anonymous {} -> {} KiB, resident {} -> {} KiB, files {} -> {}, tasks {} -> {}",
                warm.anonymous,
                worn.anonymous,
                warm.resident,
                worn.resident,
                warm.files,
                worn.files,
                warm.tasks,
                worn.tasks
            );
        }
        let mut table = Table::default();
        for (index, server) in self.world.servers.iter().enumerate() {
            self.logins(&mut table, index);
            self.requests(&mut table, server, &fates);
        }
        self.held(&mut table);
        self.unexplained_ends();
        table.print();
        println!(
            "\n{}: seed {}, {:?} of work: cargo xtask soak --minutes {} --seed {}",
            if table.refused == 0 { "clean" } else { "NOT ALLOWED" },
            self.plan.seed,
            self.plan.work,
            self.plan.work.as_secs_f64() / 60.0,
            self.plan.seed
        );
        table.refused == 0
    }

    fn fates(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        for account in &self.accounts {
            for (fate, times) in &account.fates {
                *all.entry(fate.clone()).or_default() += times;
            }
        }
        all
    }

    /// What the token endpoint says, and whose login is over.
    fn logins(&self, table: &mut Table, index: usize) {
        let server = &self.world.servers[index];
        let ledger = server.auth.ledger();
        // A set whose store does not take it may be got once more by somebody else.
        let withheld = answers_lost(server) + story::held_up(self.world, server.name);
        let verdict = ledger.verdict();
        let logins = self.world.credentials.iter().filter(|one| one.server == index);
        let logins: Vec<_> = logins.flat_map(|one| &one.logins).collect();
        let over: Vec<_> = logins.iter().filter_map(|login| login.over.as_deref()).collect();
        let lost = over.iter().filter(|why| **why == LOST).count();
        let gained: u64 = logins.iter().map(|login| login.gained()).sum();
        let committed = verdict.refreshes_committed as u64;
        let at_most = format!("answers lost or held up: {withheld}");
        let mut row = |what: &str, figure: u64, allowed: &str, is_allowed: bool| {
            table.row(format!("{}: {what}", server.name), figure.to_string(), allowed, is_allowed);
        };
        row("refreshes that arrived", verdict.refreshes as u64, "some", verdict.refreshes > 0);
        row("refreshes carried out", committed, "", true);
        row("generations stored", gained, "at most those", gained <= committed);
        let difference = committed.saturating_sub(gained);
        row("carried out and not stored", difference, &at_most, difference <= withheld);
        let at_once = verdict.max_in_flight_per_family as u64;
        row("most of one login at once", at_once, "1", at_once <= 1);
        let again = submitted_after_use(&ledger);
        row("spent tokens sent after their successor was used", again, "0", again == 0);
        let reuses: Vec<_> = ended_by_reuse(&ledger).collect();
        let (reused, lost) = (reuses.len() as u64, lost as u64);
        if server.is_strict() {
            row("logins over, for an answer was lost", lost, &at_most, lost <= withheld);
            let silent = |family| !logins.iter().any(|login| login.family == family && login.over.is_some());
            let unexplained = reuses.into_iter().filter(|family| silent(*family)).count() as u64;
            row("families ended by reuse", reused, "", true);
            row("of which no login says so", unexplained, "0", unexplained == 0);
        } else {
            row("logins over, for an answer was lost", lost, "0", lost == 0);
            row("families ended by reuse", reused, "0", reused == 0);
        }
        let others = over.len() as u64 - lost;
        row("logins over for another reason", others, "0", others == 0);
    }

    /// Tells of every login that ended otherwise than by an answer that was lost.
    fn unexplained_ends(&self) {
        let all = self.world.credentials.iter();
        for (credential, login) in all.flat_map(|one| one.logins.iter().map(move |login| (one, login))) {
            if login.over.as_deref().is_some_and(|why| why != LOST) {
                story::tell(self.world, credential, login);
            }
        }
    }

    /// What the API says, and what those who asked it were told.
    fn requests(&self, table: &mut Table, server: &Server, fates: &BTreeMap<String, usize>) {
        let verdict = server.auth.ledger().verdict();
        let of = |wanted: &str| {
            let wanted = format!("{}: {wanted}", server.name);
            fates.iter().filter(|(fate, _)| fate.starts_with(&wanted)).map(|(_, times)| times).sum::<usize>()
        };
        let mut row = |what: &str, figure: usize, allowed: &str, is_allowed: bool| {
            table.row(format!("{}: {what}", server.name), figure.to_string(), allowed, is_allowed);
        };
        row("API requests", verdict.api_requests, "", true);
        let sends = verdict.max_sends_of_one_request;
        row("most sends of one request", sends, "2", sends <= 2);
        row("altered replays", verdict.altered_replays, "0", verdict.altered_replays == 0);
        row("requests hung", of("hung"), "0", of("hung") == 0);
        let excused = if server.is_strict() { of("login over: LostRotation") } else { 0 };
        let told_over = of("login over") - excused;
        row("requests told of another end", told_over, "0", told_over == 0);
        let percent = of("200") * 100 / (of("") - of("given up")).max(1);
        row("served, of a hundred not given up", percent, "at least 90", percent >= SERVED_PERCENT);
    }

    fn held(&self, table: &mut Table) {
        let unserved: Vec<_> = self.unserved.iter().map(|(key, fate)| format!("{key}: {fate}")).collect();
        let figure = if unserved.is_empty() { "0".to_owned() } else { unserved.join(", ") };
        table.row("credentials not served in the end".to_owned(), figure, "0", unserved.is_empty());
        let open = self.accounts.iter().filter(|account| !account.flights_ended).count();
        table.row(
            "processes with a flight or waiter at the end".to_owned(),
            open.to_string(),
            "0",
            open == 0,
        );
        let slowest = self.accounts.iter().map(|account| account.slowest_ms).max().unwrap_or_default();
        table.row("slowest request, ms".to_owned(), slowest.to_string(), "", true);
        let most = self.accounts.iter().map(|account| account.most_at_once).max().unwrap_or_default();
        table.row("most requests of a process at once".to_owned(), most.to_string(), "", true);
        let most = |grown: &dyn Fn(&Process) -> i64| {
            let grown = self.processes.iter().map(|process| (grown(process), process.name.as_str()));
            grown.max().unwrap_or_default()
        };
        let (files, by) = most(&|it| difference(it.warm.files as u64, it.worn.files as u64));
        table.row(
            format!("more open files ({by})"),
            files.to_string(),
            &format!("at most {MORE_FILES}"),
            files <= MORE_FILES as i64,
        );
        let (tasks, by) = most(&|it| difference(it.warm.tasks as u64, it.worn.tasks as u64));
        table.row(
            format!("more tasks ({by})"),
            tasks.to_string(),
            &format!("at most {MORE_TASKS}"),
            tasks <= MORE_TASKS as i64,
        );
        let over = |it: &Process| {
            let allowed = MORE_MEMORY.max(it.warm.anonymous * MORE_MEMORY_PERCENT / 100);
            difference(it.warm.anonymous + allowed, it.worn.anonymous)
        };
        let (memory, by) = most(&|it| difference(it.warm.anonymous, it.worn.anonymous));
        let allowed = format!("at most {MORE_MEMORY} or {MORE_MEMORY_PERCENT} %");
        let is_allowed = self.processes.iter().all(|it| over(it) <= 0);
        table.row(format!("more anonymous memory, KiB ({by})"), memory.to_string(), &allowed, is_allowed);
    }
}

impl Table {
    fn row(&mut self, what: String, figure: String, allowed: &str, is_allowed: bool) {
        self.refused += usize::from(!is_allowed);
        let mark = if is_allowed { "" } else { "  <- NOT ALLOWED" };
        self.rows.push((what, figure, format!("{allowed}{mark}")));
    }

    fn print(&self) {
        println!("\n{:<60} {:>8}  allowed", "", "figure");
        for (what, figure, allowed) in &self.rows {
            println!("{what:<60} {figure:>8}  {allowed}");
        }
    }
}

/// Exchanges of which the server did its part and the client has no answer, or half of one.
fn answers_lost(server: &Server) -> u64 {
    server.token_proxy.done().filter(|(kind, _)| kind.loses_the_answer()).map(|(_, times)| times).sum()
}

/// Refresh tokens that came although an access token born of them had been used at the API: whoever used it
/// had the successor, and stored it first.
fn submitted_after_use(ledger: &Ledger) -> u64 {
    let mut first_use: HashMap<TokenHash, u64> = HashMap::new();
    for request in ledger.api_requests() {
        if let Some(token) = request.token {
            first_use.entry(token).or_insert(request.number);
        }
    }
    let mut children: HashMap<TokenHash, HashSet<TokenHash>> = HashMap::new();
    let mut found = 0;
    for refresh in ledger.refreshes() {
        let Some(token) = refresh.refresh_token else { continue };
        let born = children.entry(token).or_default();
        let used = |child| first_use.get(child).is_some_and(|number| *number < refresh.number);
        found += u64::from(born.iter().any(used));
        born.extend(refresh.issued_access_token);
    }
    found
}

fn ended_by_reuse(ledger: &Ledger) -> impl Iterator<Item = FamilyId> {
    ledger
        .refreshes()
        .into_iter()
        .filter(|refresh| refresh.reuse_detected)
        .filter_map(|refresh| refresh.family)
}

fn difference(from: u64, to: u64) -> i64 {
    i64::try_from(to).unwrap_or(i64::MAX) - i64::try_from(from).unwrap_or(i64::MAX)
}
