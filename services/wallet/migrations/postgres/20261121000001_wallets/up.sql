-- What customers and managers have with the company. Amounts are in the minor unit of the currency.
CREATE TABLE wallets (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    owner text NOT NULL,
    currency text NOT NULL,
    deposit_minor bigint NOT NULL,
    points bigint NOT NULL,
    entries bigint NOT NULL,
    waited bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- Each transfer between two accounts, with what the wallet held after it. Entries are added, never changed.
CREATE TABLE entries (
    id uuid PRIMARY KEY,
    wallet uuid NOT NULL,
    number bigint NOT NULL,
    giver text NOT NULL,
    taker text NOT NULL,
    amount_minor bigint NOT NULL,
    reason uuid NOT NULL,
    deposit_minor bigint NOT NULL,
    points bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX entries_wallet ON entries (wallet, number);
-- Bills that were heard of: those that wait for money, in the order of `place`, and what became of the others.
CREATE TABLE bills (
    wallet uuid NOT NULL,
    id uuid NOT NULL,
    flow uuid NOT NULL,
    amount_minor bigint NOT NULL,
    state text NOT NULL,
    place bigint,
    since timestamptz NOT NULL,
    PRIMARY KEY (wallet, id)
);
CREATE INDEX bills_waiting ON bills (wallet) WHERE place IS NOT NULL;
