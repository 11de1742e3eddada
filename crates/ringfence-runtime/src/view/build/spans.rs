//! How spans begin, end, and are found by who acts.

use ringfence_core::{Exec, Exit, Outcome, Process, Usage};

use super::super::{ResourceUsage, Span};
use super::{At, Builder, Pending};
use crate::otel;

/// What a process is called that nobody saw start a program.
const FORKED: &str = "(forked)";

impl Builder {
    pub(super) fn started(&mut self, index: u64, at_ms: u64, exec: Exec, process: Option<Process>) {
        let pid = process.map_or(0, |process| process.pid);
        let before = self.current.get(&pid).copied().filter(|_| pid != 0);
        let parent_span = self.parent_of(process);
        let mut span = Span {
            parent_span,
            program: Some(exec.program),
            command: exec.command_line.text,
            cwd: Some(exec.cwd),
            entry: Some(index),
            ..Span::new(pid, at_ms)
        };
        if let Some(old) = before.and_then(|at| self.view.spans.get_mut(at)) {
            span.parent_span.clone_from(&old.parent_span);
            if old.forked {
                // A child that opens its redirections and then starts its program is one span.
                span.span_id.clone_from(&old.span_id);
                span.otel_span_id.clone_from(&old.otel_span_id);
                span.network_activity = std::mem::take(&mut old.network_activity);
                span.file_reads = std::mem::take(&mut old.file_reads);
                span.started_ms = old.started_ms;
                *old = span;
                self.pending.insert(index, Pending::Exec { span: before, before: None });
                return;
            }
            old.end(at_ms);
            span.replaces = Some(old.span_id.clone());
        }
        let span = self.push(span);
        if pid != 0 {
            self.current.insert(pid, span);
        }
        self.pending.insert(index, Pending::Exec { span: Some(span), before });
    }

    /// An exec that failed left the process as it was; the others have replaced its program.
    pub(super) fn exec_ended(&mut self, span: usize, before: At, outcome: Outcome, at_ms: u64) {
        let Some(made) = self.view.spans.get_mut(span) else { return };
        match outcome {
            Outcome::Done
            | Outcome::Connection(_)
            | Outcome::Request(_)
            | Outcome::Tool(_)
            | Outcome::NotMade { .. }
            | Outcome::Unknown => {}
            Outcome::Mismatch { found } => {
                made.error = Some(format!("stopped: what ran was {found}"));
                made.end(at_ms);
            }
            Outcome::Failed { error } => {
                made.error = Some(error);
                made.end(at_ms);
                let pid = made.pid;
                let Some(at) = before else { return };
                self.current.insert(pid, at);
                if let Some(old) = self.view.spans.get_mut(at) {
                    (old.ended_ms, old.duration_ms) = (None, None);
                }
            }
        }
    }

    pub(super) fn exited(
        &mut self,
        pid: i32,
        (exit, limit): (Exit, Option<String>),
        usage: Usage,
        at_ms: u64,
    ) {
        if let Some(at) = self.current.remove(&pid) {
            if let Some(span) = self.view.spans.get_mut(at) {
                span.end(at_ms);
                (span.exit, span.limit) = (Some(exit), limit);
                span.resource_usage = ResourceUsage::from(usage);
            }
            return;
        }
        // A process that neither started a program nor acted: its start and parent are not known.
        self.push(Span {
            forked: true,
            command: FORKED.to_owned(),
            ended_ms: Some(at_ms),
            exit: Some(exit),
            limit,
            resource_usage: ResourceUsage::from(usage),
            ..Span::new(pid, at_ms)
        });
    }

    /// The span of a process that acts; one is made for a process that forked and did not exec.
    pub(super) fn acting(&mut self, process: Option<Process>, at_ms: u64) -> At {
        let process = process?;
        if let Some(at) = self.current.get(&process.pid) {
            return Some(*at);
        }
        let parent = process.parent.and_then(|pid| self.current.get(&pid)).copied();
        let command = parent
            .and_then(|at| self.view.spans.get(at))
            .map_or_else(|| FORKED.to_owned(), |span| span.command.clone());
        let parent_span = self.name_of(parent);
        let span = Span { parent_span, forked: true, command, ..Span::new(process.pid, at_ms) };
        let at = self.push(span);
        self.current.insert(process.pid, at);
        Some(at)
    }

    pub(super) fn parent_of(&self, process: Option<Process>) -> Option<String> {
        let parent = process.and_then(|process| process.parent)?;
        self.name_of(self.current.get(&parent).copied())
    }

    /// The span that a process acts in.
    pub(super) fn span_of(&mut self, process: Option<Process>, at_ms: u64) -> Option<String> {
        let at = self.acting(process, at_ms);
        self.name_of(at)
    }

    pub(super) fn name_of(&self, at: At) -> Option<String> {
        at.and_then(|at| self.view.spans.get(at)).map(|span| span.span_id.clone())
    }

    pub(super) fn push(&mut self, span: Span) -> usize {
        let position = self.view.spans.len();
        let span_id = format!("p{}", position + 1);
        let otel_span_id = self.view.session.as_ref().map(|it| otel::span_id(it, self.index));
        self.view.spans.push(Span { span_id, otel_span_id, ..span });
        position
    }
}
