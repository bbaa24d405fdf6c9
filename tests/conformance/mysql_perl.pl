#!/usr/bin/env perl
# Perl's DBI with DBD::MariaDB against the conformance server: perl mysql_perl.pl HOST PORT
use strict;
use warnings;
use utf8;
use DBI;

my ($host, $port) = @ARGV;
my ($passed, $failed) = (0, 0);
my $source = "DBI:MariaDB:database=polyport;host=$host;port=$port";

sub check {
    my ($name, $body) = @_;
    if (eval { $body->(); 1 }) { $passed++; print "ok $name\n" }
    else { $failed++; my $why = $@; $why =~ s/\s+/ /g; print "FAIL $name $why\n" }
}

sub same {
    my ($got, $want) = map { defined $_ ? $_ : 'undef' } @_;
    die "got $got, want $want\n" if $got ne $want;
}

for my $prepare (0, 1) {
    my $kind = $prepare ? 'prepared' : 'text';
    my $db = DBI->connect($source, 'testuser', 'testpass',
        { RaiseError => 1, PrintError => 0, mariadb_server_prepare => $prepare });
    check("$kind.call" => sub {
        my $statement = $db->prepare('call myadd(?, ?)');
        for ([3, 4, 7], ['30', '12', 42], [-1, 1, 0]) {
            $statement->execute($_->[0], $_->[1]);
            same($statement->fetchrow_array, $_->[2]);
            # With server-side prepare DBD::MariaDB cannot be asked for more results.
            if (!$prepare) { 1 while $statement->more_results }
            $statement->finish;
        }
    });
    check("$kind.unicode" => sub {
        my $statement = $db->prepare('call echo(?)');
        $statement->execute("it's \x{4e2d}");
        same($statement->fetchrow_array, "it's \x{4e2d}");
    });
    check("$kind.null" => sub {
        my $statement = $db->prepare('call echo(?)');
        $statement->execute(undef);
        same(($statement->fetchrow_array)[0], undef);
    });
    check("$kind.rows" => sub {
        my $rows = $db->selectall_arrayref('call nrows(3)');
        same(join('|', map { "@$_" } @$rows), '0 row0|1 row1|2 row2');
    });
    check("$kind.error" => sub {
        eval { $db->do('call logic()') };
        same($db->err, 1234);
        same($db->state, 'HY100');
        same($db->errstr, 'no such thing');
    });
    check("$kind.ping" => sub { same($db->ping ? 1 : 0, 1) });
    $db->disconnect;
}
check('several_results' => sub {
    my $db = DBI->connect($source, 'testuser', 'testpass', { RaiseError => 1, PrintError => 0 });
    my $statement = $db->prepare('call two()');
    $statement->execute;
    same($statement->fetchrow_array, 1);
    same($statement->more_results ? 1 : 0, 1);
    same($statement->fetchrow_array, 2);
});
check('denied' => sub {
    my $db = DBI->connect($source, 'testuser', 'wrong', { PrintError => 0 });
    die "login was let through\n" if $db;
    same(DBI->err, 1045);
});
print "$passed passed, $failed failed\n";
exit($failed ? 1 : 0);
