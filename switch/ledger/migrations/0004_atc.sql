-- The counters of chips (ATC, tag 9F36): a cryptogram is good once. docs/emv.md.
-- plastics.atc stays for the version before, which still writes it, and is read no more. What it
-- says is not taken over: it was noted under the plastic's number, not the cryptogram's.

-- A row comes with the first right cryptogram of a chip. Its key is what the chip's own key is
-- made of, the card's PAN and the PAN sequence number: the expiry is not, and nobody vouches for it.
CREATE TABLE chip_counters (
    account_id       bigint NOT NULL,
    card_id          bigint NOT NULL,
    sequence_number  text   NOT NULL CHECK (sequence_number ~ '^[0-9]{2}$'),
    highest          int    NOT NULL CHECK (highest BETWEEN 0 AND 65535),
    seen             bigint NOT NULL CHECK (seen & 1 = 1),  -- bit n: the highest less n was seen
    PRIMARY KEY (account_id, card_id, sequence_number)
) WITH (fillfactor = 60);
