DROP TABLE bills;
DROP TABLE entries;
DROP TABLE wallets;
