<?php

// A handler that does what a request asks it to: see tests/support/hostile_languages.py.

final class Refused extends Exception
{
}

function checked(mixed $result): mixed
{
    if ($result === false) {
        throw new Refused(error_get_last()['message'] ?? 'refused');
    }
    return $result;
}

function links(): array
{
    $found = [];
    foreach (scandir('/proc/self/fd') as $name) {
        $target = @readlink("/proc/self/fd/$name");
        if (ctype_digit($name) && $target !== false) {
            $found[] = "$name $target";
        }
    }
    return $found;
}

function descriptors(int $count): int
{
    $opened = [];
    while (count($opened) < $count && ($file = @fopen('/dev/null', 'r')) !== false) {
        $opened[] = $file;
    }
    return count($opened);
}

function processes(int $count): int
{
    $started = [];
    while (count($started) < $count) {
        $process = @proc_open(['sleep', '300'], [], $pipes);
        if ($process === false) {
            break;
        }
        $started[] = $process;
    }
    foreach ($started as $process) {
        proc_terminate($process, 9);
        proc_close($process);
    }
    return count($started);
}

function fill(string $path, int $size): int
{
    $file = checked(@fopen($path, 'w'));
    for ($written = 0; $written < $size; $written++) {
        if (@fwrite($file, str_repeat('x', 1 << 20)) !== 1 << 20) {
            break;
        }
    }
    return $written;
}

function allocate(): never
{
    $kept = [];
    while (true) {
        $kept[] = str_repeat('x', 1 << 20);
    }
}

function printLines(): never
{
    while (true) {
        echo str_repeat('x', 60), "\n";
    }
}

function loop(): never
{
    while (true) {
        continue;
    }
}

function crash(): mixed
{
    return array_map('crash', [1]);  // PHP before 8.3 does not notice the end of the stack
}

function countCalls(): int
{
    static $calls = 0;
    return ++$calls;
}

function waitForChildren(): array
{
    $child = pcntl_fork();
    if ($child === 0) {
        exec('true');
        posix_kill(getmypid(), 9);
    }
    return [$child, pcntl_wait($status)];
}

function handle(array $event, array $context): mixed
{
    $query = $event['queryStringParameters'];
    $path = $query['path'] ?? '';
    $number = (int) ($query['count'] ?? 0);
    $action = substr($event['path'], 1);
    if ($action === 'fail') {
        throw new RuntimeException('asked to fail');
    }
    if ($action === 'huge') {
        return str_repeat('x', $number << 20);
    }
    try {
        return ['ok' => match ($action) {
            'read' => mb_convert_encoding(checked(@file_get_contents($path, length: 65536)), 'UTF-8', 'ISO-8859-1'),
            'list' => array_values(array_diff(checked(@scandir($path)), ['.', '..'])),
            'write' => [checked(@file_put_contents($path, 'x')), null][1],
            'make' => [checked(@mkdir($path)), null][1],
            'remove' => [checked(@unlink($path)), null][1],
            'rename' => [checked(@rename($path, "$path.renamed")), null][1],
            'connect' => [checked(@stream_socket_client("unix://$path", $code, $message, 2)), null][1],
            'kill' => [checked(posix_kill($number, 0)), null][1],
            'environment' => getenv(),
            'links' => links(),
            'shell' => (string) shell_exec("($path) 2>/dev/null"),
            'descriptors' => descriptors($number),
            'processes' => processes($number),
            'fill' => fill($path, $number),
            'stack' => (new Exception('stack'))->getTraceAsString() . (new Exception('stack'))->getFile(),
            'hour' => (int) date('H', 0),
            'exit' => exit(3),
            'crash' => crash(),
            'count' => countCalls(),
            'allocate' => allocate(),
            'print' => printLines(),
            'loop' => loop(),
            'line' => [print("line of $path\n"), null][1],
            'wait' => waitForChildren(),
        }];
    } catch (Refused $refused) {
        return ['error' => $refused->getMessage()];
    }
}
