//! Properties of a payment that hold after any history of customers, sellers and a processor.
//!
//! Several callers are active at once, as with several replicas. Calls reach the processor late, in another order, or
//! when nobody waits any more; answers get lost. The one guarantee is that the processor executes a call once per key.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One action of a history.
#[derive(Clone, Debug)]
enum Action {
    /// A customer or the seller sends a command.
    Say(Command),
    /// A caller reads the next step and starts the call.
    SetOut,
    /// A call reaches the processor, which would approve or not.
    Reach(usize, bool),
    /// The answer to a call returns, or nobody waits for it any more.
    Return(usize),
    /// A caller stops waiting. The call may still arrive.
    GiveUpWaiting(usize),
}

#[derive(Clone, Debug)]
struct Question {
    step: Step,
    attempt: u32,
    answer: Option<Command>,
    is_waited_for: bool,
}

/// What a processor did under a key.
#[derive(Clone, Debug, Default)]
struct Account {
    verdict: Option<bool>,
    is_forgotten: bool,
    /// By their numbers.
    refunds: BTreeMap<u32, i64>,
}

impl Account {
    fn held(&self) -> i64 {
        let is_paid = self.verdict == Some(true) && !self.is_forgotten;
        if is_paid { 100 - self.refunds.values().sum::<i64>() } else { 0 }
    }
}

#[derive(Clone, Default)]
struct Play {
    payment: Option<Payment>,
    questions: Vec<Question>,
    accounts: BTreeMap<u32, Account>,
}

impl Play {
    fn say(&mut self, command: &Command) {
        let Ok(events) = Payment::decide(self.payment.as_ref(), command, NOW) else { return };
        self.payment = events.iter().fold(self.payment.take(), |state, event| Some(Payment::evolve(state, event)));
    }

    fn set_out(&mut self) {
        let step = self.payment.as_ref().and_then(Payment::next_step);
        let attempt = self.payment.as_ref().map_or(0, Payment::attempt);
        self.questions.extend(step.map(|step| Question { step, attempt, answer: None, is_waited_for: true }));
    }

    fn reach(&mut self, number: usize, approves: bool) {
        let Some(question) = self.questions.get_mut(number) else { return };
        let answer = match &question.step {
            Step::Charge { charge, .. } => {
                let account = self.accounts.entry(*charge).or_default();
                let verdict = *account.verdict.get_or_insert(approves && !account.is_forgotten);
                if verdict { Command::Approve(*charge) } else { Command::Refuse(*charge, "no".to_owned()) }
            }
            Step::GiveUp(charge) => {
                self.accounts.entry(*charge).or_default().is_forgotten = true;
                Command::Refuse(*charge, "no".to_owned())
            }
            Step::Refund { charge, refund, amount } => {
                self.accounts.entry(*charge).or_default().refunds.insert(*refund, amount.minor);
                Command::Refunded(*refund)
            }
        };
        question.answer.get_or_insert(answer);
    }

    fn finish(&mut self, number: usize, comes_back: bool) {
        let Some(question) = self.questions.get_mut(number) else { return };
        if !std::mem::take(&mut question.is_waited_for) {
            return;
        }
        let answer = question.answer.clone().filter(|_| comes_back);
        let attempt = question.attempt;
        self.say(&answer.unwrap_or(Command::NoAnswer(attempt)));
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Say(command) => self.say(command),
            Action::SetOut => self.set_out(),
            Action::Reach(number, approves) => self.reach(*number, *approves),
            Action::Return(number) => self.finish(*number, true),
            Action::GiveUpWaiting(number) => self.finish(*number, false),
        }
    }

    /// Calls in progress arrive, late; then the timer calls until no step is left.
    fn rest(&mut self) {
        for number in 0..self.questions.len() {
            self.reach(number, true);
            self.finish(number, true);
        }
        while self.payment.as_ref().and_then(Payment::next_step).is_some() {
            self.set_out();
            let last = self.questions.len() - 1;
            self.reach(last, true);
            self.finish(last, true);
        }
    }

    /// The charges whose money the processor holds, with how much.
    fn held(&self) -> Vec<(u32, i64)> {
        let held = self.accounts.iter().map(|(charge, account)| (*charge, account.held()));
        held.filter(|(_, held)| *held != 0).collect()
    }
}

fn said() -> impl Strategy<Value = Command> {
    let charge = |method: &str| Command::Charge { method: method.to_owned(), collect: None };
    let collect = Command::Charge { method: CARD.to_owned(), collect: Some((purchase(), owed(100))) };
    prop_oneof![
        2 => Just(Command::Request(purchase(), owed(100))),
        5 => Just(charge(CARD)),
        1 => Just(charge("another card")),
        3 => Just(collect),
        2 => Just(Command::Cancel),
        2 => Just(void()),
        1 => Just(void_keeping(30)),
        1 => Just(keep()),
        1 => Just(settle()),
    ]
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let number = || 0usize..12;
    let action = prop_oneof![
        3 => said().prop_map(Action::Say),
        1 => (1i64..120).prop_map(|minor| Action::Say(refund(minor))),
        4 => Just(Action::SetOut),
        4 => (number(), any::<bool>()).prop_map(|(number, approves)| Action::Reach(number, approves)),
        3 => number().prop_map(Action::Return),
        3 => number().prop_map(Action::GiveUpWaiting),
    ];
    proptest::collection::vec(action, 1..80)
}

fn played(
    actions: &[Action],
    mut look: impl FnMut(&Play, &Play) -> Result<(), TestCaseError>,
) -> Result<Play, TestCaseError> {
    let mut play = Play::default();
    for action in actions {
        let before = play.clone();
        play.act(action);
        look(&before, &play)?;
    }
    Ok(play)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_processor_never_holds_the_money_of_two_charges(actions in actions()) {
        played(&actions, |_, after| {
            prop_assert!(after.held().len() <= 1, "{:?}", after.accounts);
            prop_assert!(after.held().iter().all(|(_, held)| (0..=100).contains(held)), "{:?}", after.accounts);
            Ok(())
        })?;
    }

    #[test]
    fn the_processor_holds_the_money_in_the_end_exactly_if_the_payment_says_so(actions in actions()) {
        let mut play = played(&actions, |_, _| Ok(()))?;
        play.rest();
        let is_paid = play.payment.as_ref().is_some_and(|payment| {
            matches!(payment.state, State::Approved | State::Cancelling | State::Settled)
        });
        let held = play.held().iter().map(|(_, held)| *held).sum::<i64>();
        let refunded = play.payment.as_ref().map_or(0, |payment| payment.refunded);
        let is_cancelled = play.payment.as_ref().is_some_and(|payment| matches!(payment.state, State::Cancelled { .. }));
        if is_paid {
            prop_assert_eq!(held, 100 - refunded);
        } else {
            // A seller may have kept a share, or staff refunded more than the rest of it.
            prop_assert!(held == 0 || is_cancelled && held <= 30, "{:?}: {}", play.payment, held);
        }
    }

    #[test]
    fn a_payment_is_never_charged_again_while_its_money_is_there(actions in actions()) {
        played(&actions, |before, after| {
            let Some((before, after)) = before.payment.as_ref().zip(after.payment.as_ref()) else { return Ok(()) };
            let may_charge =
                matches!(before.state, State::Requested | State::Refused(_) | State::Charging { next: Some(_), .. });
            prop_assert!(may_charge || before.charge == after.charge);
            Ok(())
        })?;
    }

    #[test]
    fn cancelled_and_settled_are_final(actions in actions()) {
        played(&actions, |before, after| {
            let Some((before, after)) = before.payment.as_ref().zip(after.payment.as_ref()) else { return Ok(()) };
            let is_refunding = matches!(after.state, State::Refunding { then: Then::Settled, .. });
            if matches!(before.state, State::Cancelled { .. } | State::Settled) && !is_refunding {
                prop_assert_eq!(&before.state, &after.state);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_executed_decides_nothing_when_it_is_repeated(actions in actions(), command in said()) {
        let mut play = played(&actions, |_, _| Ok(()))?;
        if Payment::decide(play.payment.as_ref(), &command, NOW).is_ok() {
            play.say(&command);
            prop_assert_eq!(Payment::decide(play.payment.as_ref(), &command, NOW), Ok(vec![]));
        }
    }
}
