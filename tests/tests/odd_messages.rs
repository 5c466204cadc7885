//! Odd requests and odd answers, beside nginx and Caddy: what each does with them, and why we differ where we do.
//!
//! The table is `docs/reference/odd-messages.md`; `UPDATE_DOCS=1` writes it again. A row in which Gangway differs from
//! one of the others needs an explanation, and the table of those has no other rows.

#[path = "odd_messages/reasons.rs"]
mod reasons;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gangway_testkit::recording::{AfterAnswer, AnswerMoment, CASE_FIELD, WrittenAnswer};
use gangway_testkit::wire_message::{WireMessage, latin1_bytes};
use gangway_tests::gangway::replace_file;
use gangway_tests::odd_answers::{self, CutAnswer, OddAnswer};
use gangway_tests::odd_requests::{self, CutRequest, OddRequest};
use gangway_tests::side_by_side::{Beside, HOST, LAST, Seen, SideBySide};
use gangway_tests::{root, run};
use reasons::REASONS;
use tokio::task::JoinSet;

/// Connections at a time, for each of the three.
const AT_ONCE: usize = 12;

/// One line of the table.
#[derive(Clone, Debug)]
struct Row {
    title: String,
    cells: [String; 3],
}

impl Row {
    fn is_alike(&self) -> bool {
        self.cells.iter().all(|cell| *cell == self.cells[0])
    }

    fn reason(&self, table: &str) -> Option<&'static str> {
        let found = REASONS.iter().find(|(in_table, titles, _)| *in_table == table && titles.contains(&&*self.title));
        found.map(|(_, _, reason)| *reason)
    }
}

/// A text in one line that can stand in a table.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            '\r' => shown += "\\r",
            '\n' => shown += "\\n",
            '\t' => shown += "\\t",
            '|' => shown += "\\|",
            control if control.is_control() => shown += &format!("\\x{:02x}", u32::from(control)),
            other => shown.push(other),
        }
    }
    shown
}

/// What a client and an endpoint saw of odd requests.
fn of_requests(seen: &Seen) -> String {
    let last = format!("GET {LAST} HTTP/1.1");
    let is_last = |message: &&WireMessage| message.line == last;
    let is_kept = seen.got.iter().any(|message| is_last(&message));
    let mut statuses: Vec<String> = seen.answers.iter().map(status).collect();
    if is_kept {
        statuses.pop();
    }
    let mut cell = if statuses.is_empty() { "closed".to_owned() } else { statuses.join(", ") };
    if !is_kept && !statuses.is_empty() {
        cell += ", closed";
    }
    if seen.is_silent {
        cell += ", waits";
    }
    let got: Vec<String> = seen.got.iter().filter(|message| !is_last(message) && message.is_whole).map(got).collect();
    if !got.is_empty() {
        cell += &format!("; app: {}", got.join(" and "));
    }
    cell
}

fn status(answer: &WireMessage) -> String {
    if answer.status() == 0 { "no HTTP/1".to_owned() } else { answer.status().to_string() }
}

fn got(message: &WireMessage) -> String {
    let line = message.line.strip_suffix(" HTTP/1.1").unwrap_or(&message.line);
    // A long target is no more telling than a short one.
    let line: String = line.chars().take(40).collect();
    let line = String::from_utf8(latin1_bytes(&line)).unwrap_or(line);
    let body = if message.body.is_empty() { String::new() } else { format!(" + {} bytes", message.body.len()) };
    format!("`{}{body}`", shown(&line).replace('`', "'"))
}

/// What a client saw of odd answers.
fn of_answers(seen: &Seen) -> String {
    let mut told: Vec<String> = Vec::new();
    for answer in &seen.answers {
        if answer.status() == 101 {
            told.push("101 and a tunnel".to_owned());
            break;
        }
        let mut one = status(answer);
        if (200..500).contains(&answer.status()) && !answer.body.is_empty() {
            one += &format!(", {} bytes", answer.body.len());
        }
        for (is_so, what) in [
            (!answer.is_whole, ", cut"),
            (!answer.trailers.is_empty(), ", trailers"),
            (!is_framing_plain(answer), ", length unclear"),
        ] {
            one += if is_so { what } else { "" };
        }
        told.push(one);
    }
    if told.is_empty() {
        told.push("closed".to_owned());
    }
    if seen.is_silent {
        told.push("waits".to_owned());
    }
    told.join(", ")
}

/// Whether each client reads the same end out of the fields of an answer.
fn is_framing_plain(answer: &WireMessage) -> bool {
    let (lengths, codings) = (answer.all("content-length"), answer.all("transfer-encoding"));
    match (&*lengths, &*codings) {
        ([], []) => true,
        ([len], []) => len.bytes().all(|digit| digit.is_ascii_digit()),
        ([], [coding]) => coding.eq_ignore_ascii_case("chunked"),
        ([_, ..], [_, ..]) | ([_, _, ..], []) | ([], [_, _, ..]) => false,
    }
}

/// Runs all jobs at each of the three, some at a time.
async fn at_all<J, F, O>(three: &Arc<SideBySide>, jobs: Vec<J>, run: F) -> Vec<[String; 3]>
where
    J: Send + Sync + 'static,
    F: Fn(Arc<SideBySide>, usize, Arc<Vec<J>>, usize) -> O + Clone + Send + Sync + 'static,
    O: Future<Output = String> + Send,
{
    let jobs = Arc::new(jobs);
    let mut cells = vec![[const { String::new() }; 3]; jobs.len()];
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (jobs, next, run, three) = (Arc::clone(&jobs), Arc::clone(&next), run.clone(), Arc::clone(three));
        workers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= jobs.len() {
                    return done;
                }
                let one = |which| run(Arc::clone(&three), which, Arc::clone(&jobs), at);
                let (first, second, third) = tokio::join!(one(0), one(1), one(2));
                done.push((at, [first, second, third]));
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        match done {
            Ok(done) => done.into_iter().for_each(|(at, three)| cells[at] = three),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    cells
}

fn named(bytes: &[u8], case: &str) -> Vec<u8> {
    let mark = b"{case}";
    let mut named = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(mark) {
            named.extend(case.as_bytes());
            at += mark.len();
        } else {
            named.push(bytes[at]);
            at += 1;
        }
    }
    named
}

async fn odd_requests_at(three: &Arc<SideBySide>) -> Vec<Row> {
    let requests = odd_requests::all();
    let titles: Vec<String> = requests.iter().map(|request| shown(&request.title)).collect();
    let cells = at_all(three, requests, |three, which, jobs: Arc<Vec<OddRequest>>, at| async move {
        let (case, job) = (format!("request-{at}"), &jobs[at]);
        let seen = three.all[which].see(&case, &named(&job.bytes, &case), job.is_half_closed, None).await;
        of_requests(&seen)
    });
    rows(titles, cells.await)
}

/// Each sample, cut after each of its bytes: the app must never get a whole request.
async fn cut_requests_at(three: &Arc<SideBySide>) -> Vec<Row> {
    let samples = odd_requests::cut();
    let titles = samples
        .iter()
        .map(|sample| format!("{}: ended after each of {} bytes", sample.title, sample.bytes.len()))
        .collect();
    let cells = at_all(three, samples, |three, which, jobs: Arc<Vec<CutRequest>>, at| async move {
        let mut seen = BTreeSet::new();
        for len in 1..jobs[at].bytes.len() {
            let case = format!("cut-request-{at}-{len}");
            let bytes = named(&jobs[at].bytes[..len], &case);
            let result = three.all[which].see(&case, &bytes, true, None).await;
            let is_whole = result.got.iter().any(|message| message.is_whole);
            let is_served = result.answers.iter().any(|answer| (200..300).contains(&answer.status()));
            seen.insert(match (is_whole, is_served) {
                (true, _) => "the app gets it as a whole one",
                (false, true) => "answered as a whole one",
                (false, false) => "no request",
            });
        }
        seen.into_iter().collect::<Vec<_>>().join(", ")
    });
    rows(titles, cells.await)
}

async fn ask(beside: &Beside, case: &str, job: &OddAnswer) -> Seen {
    let body = if job.method == "POST" { "Content-Length: 5\r\n\r\nhello" } else { "\r\n" };
    let connection = if job.fields.contains("Connection:") { "" } else { "Connection: close\r\n" };
    let request = format!(
        "{} / {}\r\nHost: {HOST}\r\n{CASE_FIELD}: {case}\r\n{connection}{}{body}",
        job.method, job.version, job.fields
    );
    beside.see(case, request.as_bytes(), false, Some(&job.answer)).await
}

async fn odd_answers_at(three: &Arc<SideBySide>) -> Vec<Row> {
    let answers = odd_answers::all();
    let titles: Vec<String> = answers.iter().map(|answer| shown(&answer.title)).collect();
    let cells = at_all(three, answers, |three, which, jobs: Arc<Vec<OddAnswer>>, at| async move {
        of_answers(&ask(&three.all[which], &format!("answer-{at}"), &jobs[at]).await)
    });
    rows(titles, cells.await)
}

/// Each sample, ended after each of its bytes: what is cut must not look whole.
async fn cut_answers_at(three: &Arc<SideBySide>) -> Vec<Row> {
    let samples = odd_answers::cut();
    let title = |sample: &CutAnswer| {
        let how = if sample.after == AfterAnswer::Resets { "reset" } else { "closed" };
        format!("{}: {how} after each of {} bytes", sample.title, sample.bytes.len())
    };
    let titles = samples.iter().map(title).collect();
    let cells = at_all(three, samples, |three, which, jobs: Arc<Vec<CutAnswer>>, at| async move {
        let mut seen = BTreeSet::new();
        for len in 0..jobs[at].bytes.len() {
            let bytes = jobs[at].bytes.as_bytes()[..len].to_vec();
            let answer = WrittenAnswer { bytes, moment: AnswerMoment::WholeRequest, after: jobs[at].after };
            let job = OddAnswer { title: String::new(), method: "GET", version: "HTTP/1.1", fields: "", answer };
            let result = ask(&three.all[which], &format!("cut-answer-{at}-{len}"), &job).await;
            let is_whole = result.answers.iter().any(|answer| answer.status() == 200 && answer.is_whole);
            seen.insert(if is_whole { "looks whole" } else { "cut or refused" });
        }
        seen.into_iter().collect::<Vec<_>>().join(", ")
    });
    rows(titles, cells.await)
}

fn rows(titles: Vec<String>, cells: Vec<[String; 3]>) -> Vec<Row> {
    titles.into_iter().zip(cells).map(|(title, cells)| Row { title, cells }).collect()
}

/// The page with all rows.
fn page(three: &SideBySide, tables: &[(&str, &str, Vec<Row>)]) -> String {
    let names: Vec<&str> = three.all.iter().map(|one| &*one.name).collect();
    let mut page = format!(
        "# Odd messages\n\nWhat Gangway, {} and {} of Debian do with messages that are not as they should be, each set up as\n\
         a plain reverse proxy in front of an app of its own. The table is made by `tests/tests/odd_messages.rs` from real\n\
         runs. Where Gangway differs from one of the others, the last column says why. *closed* means that the connection\n\
         ends, and *app* is what the app got; where it is not named, the app got no whole request.\n",
        names[1], names[2]
    );
    for (table, title, rows) in tables {
        page += &format!("\n## {title}\n\n| | {} | why |\n|---|---|---|---|---|\n", names.join(" | "));
        for row in rows {
            let why = row.reason(table).unwrap_or_default();
            let quoted =
                if row.title.contains('`') { format!("`` {} ``", row.title) } else { format!("`{}`", row.title) };
            page += &format!("| {quoted} | {} | {why} |\n", row.cells.join(" | "));
        }
    }
    page
}

#[test]
fn every_difference_from_nginx_and_caddy_has_a_reason() {
    run(async {
        let three = Arc::new(SideBySide::start().await);
        let tables = [
            ("requests", "Requests", odd_requests_at(&three).await),
            ("cut requests", "Requests that end early", cut_requests_at(&three).await),
            ("answers", "Answers", odd_answers_at(&three).await),
            ("cut answers", "Answers that end early", cut_answers_at(&three).await),
        ];
        let mut faults = Vec::new();
        for (table, _, rows) in &tables {
            for row in rows {
                match (row.is_alike(), row.reason(table)) {
                    (false, None) => faults.push(format!("{table}: `{}` has no reason: {:#?}", row.title, row.cells)),
                    (true, Some(_)) => faults.push(format!("{table}: `{}` has a reason and no difference", row.title)),
                    (true, None) | (false, Some(_)) => {}
                }
            }
        }
        for (table, titles, _) in REASONS {
            let rows = tables.iter().filter(|(name, _, _)| name == table).flat_map(|(_, _, rows)| rows);
            let known: BTreeSet<&str> = rows.map(|row| &*row.title).collect();
            faults.extend(
                titles
                    .iter()
                    .filter(|title| !known.contains(**title))
                    .map(|title| format!("{table}: no row `{title}`")),
            );
        }
        let page = page(&three, &tables);
        let file = root().join("docs/reference/odd-messages.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            replace_file(&file, &page);
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        for (now, before) in page.lines().zip(committed.lines()) {
            assert_eq!(
                now, before,
                "docs/reference/odd-messages.md is stale: UPDATE_DOCS=1 cargo test -p gangway-tests --test odd_messages"
            );
        }
        assert_eq!(page.len(), committed.len(), "docs/reference/odd-messages.md is stale");
    });
}
