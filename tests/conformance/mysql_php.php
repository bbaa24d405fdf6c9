<?php
// PHP's two MySQL libraries against the conformance server: php mysql_php.php HOST PORT
//
// PDO writes every argument as text unless prepared statements are real; mysqli binds by type.
// Both must see the numbers that the functions declare.
[$_, $host, $port] = $argv;
$passed = 0;
$failed = 0;

function check(string $name, callable $body): void
{
    global $passed, $failed;
    try {
        $body();
        $passed++;
        echo "ok $name\n";
    } catch (Throwable $error) {
        $failed++;
        echo "FAIL $name ", get_class($error), ': ', $error->getMessage(), "\n";
    }
}

function same($got, $want): void
{
    if ($got !== $want) {
        throw new Exception('got ' . var_export($got, true) . ', want ' . var_export($want, true));
    }
}

function all_sets(PDOStatement $statement): array
{
    $sets = [];
    do {
        // With real prepared statements PDO shows the closing OK of a procedure as one more set,
        // empty, with the columns of the last; MariaDB 10.11's procedures look the same to it.
        $rows = $statement->columnCount() ? $statement->fetchAll(PDO::FETCH_ASSOC) : [];
        if ($rows) {
            $sets[] = $rows;
        }
    } while ($statement->nextRowset());
    return $sets;
}

foreach (['emulated' => true, 'prepared' => false] as $kind => $emulate) {
    $pdo = new PDO("mysql:host=$host;port=$port;dbname=polyport;charset=utf8mb4", 'testuser', 'testpass', [
        PDO::ATTR_EMULATE_PREPARES => $emulate,
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    ]);
    $call = function (string $sql, array $arguments = []) use ($pdo): array {
        $statement = $pdo->prepare($sql);
        $statement->execute($arguments);
        $sets = all_sets($statement);
        $statement->closeCursor();
        return $sets;
    };
    check("pdo.$kind.text_call", fn () => same($pdo->query('call myadd(3,4)')->fetchAll(PDO::FETCH_ASSOC), [['sum' => 7]]));
    check("pdo.$kind.numbers_as_text", fn () => same($call('call myadd(?, ?)', ['3', '4']), [[['sum' => 7]]]));
    check("pdo.$kind.named", fn () => same($call('call myadd(:a, :b)', ['a' => 30, 'b' => 12]), [[['sum' => 42]]]));
    check("pdo.$kind.again", function () use ($pdo) {
        $statement = $pdo->prepare('call myadd(?, ?)');
        foreach ([[1, 2], [3, 4], [-1, 1]] as [$a, $b]) {
            $statement->bindValue(1, $a, PDO::PARAM_INT);
            $statement->bindValue(2, $b, PDO::PARAM_INT);
            $statement->execute();
            same($statement->fetchAll(PDO::FETCH_NUM), [[$a + $b]]);
            $statement->closeCursor();
        }
    });
    check("pdo.$kind.text", fn () => same($call('call echo(?)', ["it's \u{4e2d}\\"]), [[['v' => "it's \u{4e2d}\\"]]]));
    check("pdo.$kind.null", fn () => same($call('call echo(?)', [null]), [[['v' => null]]]));
    check("pdo.$kind.two_results", fn () => same($call('call two()'), [[['a' => 1]], [['b' => 2]]]));
    check("pdo.$kind.types", function () use ($call) {
        $row = $call('call typed()')[0][0];
        same([$row['i'], $row['s'], (float) $row['f'], $row['n']], [1, 'x', 1.5, null]);
        same([$row['d'], $row['b'], $row['c']], ['2020-01-02 03:04:05', "\x00\xff", '1.50']);
    });
    check("pdo.$kind.error", function () use ($call) {
        try {
            $call('call logic()');
        } catch (PDOException $error) {
            same($error->errorInfo, ['HY100', 1234, 'no such thing']);
            return;
        }
        throw new Exception('no error came');
    });
    check("pdo.$kind.unknown", function () use ($call) {
        try {
            $call('call nope()');
        } catch (PDOException $error) {
            same($error->errorInfo[1], 1305);
            return;
        }
        throw new Exception('no error came');
    });
    check("pdo.$kind.transaction", function () use ($pdo) {
        $pdo->beginTransaction();
        same($pdo->query('call myadd(1,1)')->fetchAll(PDO::FETCH_NUM), [[2]]);
        $pdo->commit();
    });
    check("pdo.$kind.attributes", fn () => same((bool) preg_match('/^\d+\.\d+/', $pdo->getAttribute(PDO::ATTR_SERVER_VERSION)), true));
}

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$mysqli = new mysqli($host, 'testuser', 'testpass', 'polyport', (int) $port);
check('mysqli.text_call', function () use ($mysqli) {
    same($mysqli->query('call myadd(3,4)')->fetch_all(MYSQLI_ASSOC), [['sum' => '7']]);
});
check('mysqli.prepared', function () use ($mysqli) {
    $statement = $mysqli->prepare('call myadd(?, ?)');
    foreach ([[3, 4], [5, -6]] as [$a, $b]) {
        $statement->bind_param('ii', $a, $b);
        $statement->execute();
        same($statement->get_result()->fetch_all(MYSQLI_ASSOC), [['sum' => $a + $b]]);
        while ($statement->more_results()) {
            $statement->next_result();
        }
    }
    $statement->close();
});
check('mysqli.doubles_and_text', function () use ($mysqli) {
    $statement = $mysqli->prepare('call myadd(?, ?)');
    $a = 2.5;
    $b = '4';
    $statement->bind_param('ds', $a, $b);
    $statement->execute();
    same($statement->get_result()->fetch_row(), [6.5]);
    $statement->close();
});
check('mysqli.long_data', function () use ($mysqli) {
    $statement = $mysqli->prepare('call echo(?)');
    $null = null;
    $statement->bind_param('b', $null);
    for ($i = 0; $i < 40; $i++) {
        $statement->send_long_data(0, str_repeat(chr(65 + $i % 26), 100000));
    }
    $statement->execute();
    same(strlen($statement->get_result()->fetch_row()[0]), 4000000);
    $statement->close();
});
check('mysqli.multi_query', function () use ($mysqli) {
    $mysqli->multi_query('call myadd(1,2); call two(); select 5 as five');
    $seen = [];
    do {
        if ($result = $mysqli->store_result()) {
            $seen[] = $result->fetch_all(MYSQLI_NUM);
        }
    } while ($mysqli->more_results() && $mysqli->next_result());
    same($seen, [[['3']], [['1']], [['2']], [['5']]]);
});
check('mysqli.ping_and_change_user', function () use ($mysqli) {
    same(@$mysqli->query('select 1')->fetch_row(), ['1']);
    same($mysqli->change_user('testuser', 'testpass', 'test'), true);
    same($mysqli->query('select database()')->fetch_row(), ['test']);
    same(strpos($mysqli->stat(), 'Uptime') !== false, true);
});
check('mysqli.denied', function () use ($host, $port) {
    try {
        new mysqli($host, 'testuser', 'wrong', '', (int) $port);
    } catch (mysqli_sql_exception $error) {
        same($error->getCode(), 1045);
        return;
    }
    throw new Exception('login was let through');
});

echo "$passed passed, $failed failed\n";
exit($failed ? 1 : 0);
