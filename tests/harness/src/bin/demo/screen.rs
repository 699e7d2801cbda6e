//! What the demo says: steps, findings, and signs of life while it waits.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Standard output, as a terminal or as plain lines.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    started: Instant,
    step: usize,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), started: Instant::now(), step: 0 }
    }

    /// Begins the next step: what is done, and why.
    pub(crate) fn step(&mut self, what: &str, why: &str) {
        self.step += 1;
        let text = format!("{}. {what}", self.step);
        let text = if self.terminal { format!("\x1b[1m{text}\x1b[0m") } else { text };
        write(&format!("\n{text}\n   {why}\n"));
    }

    /// Shows lines as they are, set off from the demo's own words.
    pub(crate) fn show(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.line(&format!("     {line}"));
        }
    }

    /// Shows a command that a reader could have typed.
    pub(crate) fn command(&self, command: &str) {
        self.typed("$", command);
    }

    /// Shows a line of Python that a reader could have typed.
    pub(crate) fn python(&self, line: &str) {
        self.typed(">>>", line);
    }

    fn typed(&self, prompt: &str, text: &str) {
        let text = format!("   {prompt} {text}");
        self.line(&if self.terminal { format!("\x1b[2m{text}\x1b[0m") } else { text });
    }

    /// Says what was checked and found right.
    pub(crate) fn right(&self, text: &str) {
        let mark = if self.terminal { "\x1b[32mok\x1b[0m" } else { "ok" };
        self.line(&format!("   {mark} {text}"));
    }

    /// Says anything else.
    pub(crate) fn say(&self, text: &str) {
        self.line(&format!("   {text}"));
    }

    /// A line of its own, in place of a counting line that may stand there.
    fn line(&self, text: &str) {
        let erase = if self.terminal { "\r\x1b[K" } else { "" };
        write(&format!("{erase}{text}\n"));
    }

    /// How long the demo has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for something and shows that it does: a counting line on a terminal, a line every five seconds elsewhere.
    pub(crate) async fn waiting<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let begun = Instant::now();
        let period = Duration::from_secs(if self.terminal { 1 } else { 5 });
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        loop {
            tokio::select! {
                done = &mut work => {
                    if self.terminal {
                        write("\r\x1b[K");
                    }
                    return done;
                }
                _ = ticks.tick() => {
                    let text = format!("   … {what} ({} s)", begun.elapsed().as_secs());
                    write(&if self.terminal { format!("\r\x1b[K{text}") } else { format!("{text}\n") });
                }
            }
        }
    }
}

/// A reader that went away (`make demo | head`) is no failure of the demo.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
