-- The wallets of customers and managers. Amounts are in the minor unit of the currency.
CREATE TABLE wallets (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    owner text NOT NULL,
    currency text NOT NULL,
    deposit_minor bigint NOT NULL,
    points bigint NOT NULL,
    entries bigint NOT NULL,
    waited bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
-- The transfers between two accounts, with the balance of the wallet after each. Entries are only added, never changed.
CREATE TABLE entries (
    id blob PRIMARY KEY NOT NULL,
    wallet blob NOT NULL,
    number bigint NOT NULL,
    giver text NOT NULL,
    taker text NOT NULL,
    amount_minor bigint NOT NULL,
    reason blob NOT NULL,
    deposit_minor bigint NOT NULL,
    points bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE UNIQUE INDEX entries_wallet ON entries (wallet, number);
-- The bills of which an event was received: unpaid ones in the order of `place`, and the outcome of the others.
CREATE TABLE bills (
    wallet blob NOT NULL,
    id blob NOT NULL,
    flow blob NOT NULL,
    amount_minor bigint NOT NULL,
    state text NOT NULL,
    place bigint,
    since bigint NOT NULL,
    PRIMARY KEY (wallet, id)
);
CREATE INDEX bills_waiting ON bills (wallet) WHERE place IS NOT NULL;
