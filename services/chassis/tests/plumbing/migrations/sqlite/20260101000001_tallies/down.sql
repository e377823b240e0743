DROP TABLE seen; DROP TABLE tallies;
