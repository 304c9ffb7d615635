<?php

// Serves one function in one process: loads its file and answers one request at a time. The protocol is described in
// __init__.py beside this file. PHP 8.2 and later, no packages; FFI, where it is there, keeps
// child processes of a handler from inheriting the socket.
//
// The file of the function is loaded at the end of this file and not in a function, so that its variables are global,
// as handlers with `global` expect. This file defines none, unless that fails.

declare(strict_types=1);

namespace Fnkit\Worker;

const CONNECTION = 3;
const ASSIGNMENT = 4;
const LENGTH_PREFIX_SIZE = 4;
const READ_SIZE = 1 << 16;
const LARGE_READ_SIZE = 1 << 20;
const HEAD_END = "\r\n\r\n";
const FRAMING = '/(\r\nfnkit-request: \w+)?\r\ncontent-length: *(\d+)\r\n/i';
const REASON_PHRASES = [200 => 'OK', 500 => 'Internal Server Error'];

const TEXT = 'text/plain; charset=utf-8';
const HTML = 'text/html; charset=UTF-8';
const JSON = 'application/json';

const IMPORT_ERROR_MAX_BYTES = 2000;
const HANDLER_MISSING = 'Function Handler does not exist, check that you provided the right HANDLER parameter '
    . '(path to your module with exported function to use)';
const EXITED = 'the handler ended the process with exit or die';
const NOT_UTF8 = 'Malformed UTF-8 characters, possibly incorrectly encoded';  // as json_encode reports it
const FATAL_ERRORS = E_ERROR | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR | E_PARSE;
const LOGGING = ['log_errors' => '1', 'display_errors' => '0', 'html_errors' => '0', 'ignore_user_abort' => '1'];
const INHERITED_DESCRIPTORS_MAX = 16;
const SET_DESCRIPTOR_FLAGS = 2;  // F_SETFD of Linux
const CLOSE_ON_EXEC = 1;  // FD_CLOEXEC of Linux

/** The other end has closed the socket. */
final class Disconnected extends \Exception
{
}

/** The function's file is missing. */
final class FileMissing extends \Exception
{
}

/** Reads and writes a stream completely. */
final class Channel
{
    private string $buffer = '';

    /** @param resource $stream */
    public function __construct(private $stream)
    {
        stream_set_read_buffer($stream, 0);
        stream_set_chunk_size($stream, LARGE_READ_SIZE);
        stream_set_timeout($stream, -1);  // never: an instance may be idle for longer than default_socket_timeout
    }

    /** Return everything up to and including a text. */
    public function readUntil(string $end): string
    {
        while (($position = strpos($this->buffer, $end)) === false) {
            $this->buffer .= $this->receive(READ_SIZE);
        }
        return $this->take($position + strlen($end));
    }

    /** Return exactly this many bytes. */
    public function readExactly(int $size): string
    {
        if (strlen($this->buffer) >= $size) {
            return $this->take($size);
        }
        $parts = [$this->buffer];
        $missing = $size - strlen($this->buffer);
        $this->buffer = '';
        for (; $missing > 0; $missing -= strlen($part)) {
            $parts[] = $part = $this->receive(min($missing, LARGE_READ_SIZE));
        }
        return implode($parts);
    }

    /** Write all bytes. */
    public function write(string $bytes): void
    {
        while ($bytes !== '') {
            $written = @fwrite($this->stream, $bytes);
            if ($written === false) {
                throw new Disconnected();
            }
            $bytes = $written === strlen($bytes) ? '' : substr($bytes, $written);
        }
    }

    public function close(): void
    {
        fclose($this->stream);
    }

    private function receive(int $size): string
    {
        $received = @fread($this->stream, $size);
        if ($received === false || ($received === '' && feof($this->stream))) {
            throw new Disconnected();
        }
        return $received;  // empty if a signal has interrupted it
    }

    private function take(int $size): string
    {
        $taken = substr($this->buffer, 0, $size);
        $this->buffer = substr($this->buffer, $size);
        return $taken;
    }
}

/** The connection on which requests come and responses go. */
final class Connection
{
    private string $nonceLine = '';
    private bool $isPending = false;

    public function __construct(public readonly Channel $channel)
    {
    }

    /** Return the body of the next request. */
    public function receive(): string
    {
        preg_match(FRAMING, $this->channel->readUntil(HEAD_END), $found);
        $body = $this->channel->readExactly((int) ($found[2] ?? 0));
        $this->nonceLine = $found[1] ?? '';
        $this->isPending = true;
        return $body;
    }

    /** Whether a request waits for its response. */
    public function isPending(): bool
    {
        return $this->isPending;
    }

    public function send(int $status, string $type, string $body, bool $isLast = false): void
    {
        $this->isPending = false;
        $head = "HTTP/1.1 $status " . REASON_PHRASES[$status] . "\r\ncontent-type: $type\r\ncontent-length: "
            . strlen($body) . ($isLast ? "\r\nconnection: close" : '') . $this->nonceLine . HEAD_END;
        if (strlen($body) <= READ_SIZE) {
            $this->channel->write($head . $body);
        } else {
            $this->channel->write($head);
            $this->channel->write($body);
        }
    }

    public function fail(string $message, bool $isLast = false): void
    {
        $this->send(500, TEXT, $message, $isLast);
    }
}

/** The life of the process. Its state is static: the function's file must find no global variable. */
final class Worker
{
    private static ?Connection $connection = null;
    private static Channel $log;
    private static array $settings = [];
    private static bool $isLoading = false;
    private static ?\ReflectionFunction $handler = null;
    private static string $importError = '';
    private static int $ownBuffers = 0;
    private static int $processId = 0;

    /**
     * Wait for a function, take over its environment, and return the path of its file.
     *
     * Ends the process if that fails, and throws FileMissing.
     */
    public static function start(): string
    {
        foreach (LOGGING as $name => $value) {
            ini_set($name, $value);
        }
        register_shutdown_function(self::onShutdown(...));
        self::$log = new Channel(fopen('php://stderr', 'wb'));
        $socket = fopen('php://fd/' . CONNECTION, 'r+b') ?: exit(1);  // PHP has logged why
        self::$connection = new Connection(new Channel($socket));
        try {
            self::takeOver();
        } catch (Disconnected) {
            exit(0);
        } catch (\Throwable $error) {
            $message = json_encode(['error' => $error::class . ': ' . $error->getMessage()]);
            self::$connection->channel->write("$message\n");
            exit(1);
        }
        self::$isLoading = true;
        self::$processId = getmypid();
        self::$ownBuffers = ob_get_level();
        $file = self::$settings['root'] . '/' . self::splitHandler()[0] . '.php';
        return is_file($file) ? $file : throw new FileMissing("$file is missing.");
    }

    /** The function's file was loaded, or failed with this error. */
    public static function finishLoading(?\Throwable $error): void
    {
        self::$isLoading = false;
        [$location, $name] = self::splitHandler();
        if ($error !== null) {
            self::$importError = $error instanceof FileMissing ? $error->getMessage() : describe($error);
        } elseif (function_exists($name)) {
            self::$handler = new \ReflectionFunction($name);
            return;
        } else {
            self::$importError = "$location.php does not define a function $name.";
        }
        self::log(self::$importError);
    }

    /** Report readiness and answer requests until the other end closes the socket. */
    public static function serve(): never
    {
        self::endIfForked();
        try {
            self::endOutputBuffers();
            self::$connection->channel->write(self::readyLine());
            while (true) {
                self::respond(self::$connection, self::$handler);
            }
        } catch (Disconnected) {
            exit(0);
        }
    }

    /** The report of readiness, with the end of the error if the file could not be loaded. */
    private static function readyLine(): string
    {
        if (self::$importError === '') {
            return "{\"ready\": true}\n";
        }
        $text = substr(self::$importError, -IMPORT_ERROR_MAX_BYTES);
        return '{"ready": true, "import_error": ' . json_encode($text, JSON_INVALID_UTF8_SUBSTITUTE) . "}\n";
    }

    private static function respond(Connection $connection, ?\ReflectionFunction $handler): void
    {
        $document = $connection->receive();
        if ($handler === null) {
            $connection->fail(HANDLER_MISSING);
            return;
        }
        try {
            $call = json_decode($document, true, flags: JSON_THROW_ON_ERROR);
            unset($document);
            // An error about the arguments then names no line of this file. References, because a handler may ask for them.
            [$type, $body] = encodeResult($handler->invokeArgs([&$call['event'], &$call['context']]));
        } catch (\Throwable $error) {
            self::log(describe($error));
            self::endOutputBuffers();
            self::endIfForked();
            $connection->fail($error->getMessage() ?: $error::class);
            return;
        }
        self::endOutputBuffers();
        self::endIfForked();
        $connection->send(200, $type, $body);
    }

    /** End a child process that the handler has forked and that returns from it: it must not answer as well. */
    private static function endIfForked(): void
    {
        if (self::isForked()) {
            exit(0);
        }
    }

    private static function isForked(): bool
    {
        return self::$processId !== 0 && getmypid() !== self::$processId;
    }

    /** Write what a handler has left in output buffers: it belongs to this request. */
    private static function endOutputBuffers(): void
    {
        while (ob_get_level() > self::$ownBuffers && @ob_end_flush()) {
            continue;
        }
    }

    /** The process ends: by exit, by a fatal error, or because the other end has closed the socket. */
    private static function onShutdown(): void
    {
        if (self::isForked()) {
            return;
        }
        ini_set('memory_limit', '-1');  // it may have ended because of it
        $last = error_get_last();
        $fatal = $last !== null && ($last['type'] & FATAL_ERRORS) !== 0 ? strtok($last['message'], "\n") : null;
        try {
            if (self::$isLoading && $fatal !== null) {
                self::$isLoading = false;  // PHP has logged it
                self::$importError = "$fatal in {$last['file']}:{$last['line']}";
                self::serve();
            } elseif (self::$connection?->isPending()) {
                self::endOutputBuffers();
                self::$connection->fail($fatal ?? EXITED, isLast: true);
            }
        } catch (Disconnected) {
            return;
        }
    }

    private static function takeOver(): void
    {
        self::warmUp();
        $libc = closeOnExec();
        $channel = new Channel(fopen('php://fd/' . ASSIGNMENT, 'rb'));
        self::$settings = json_decode($channel->readUntil("\n"), true, flags: JSON_THROW_ON_ERROR);
        $channel->close();
        $libc?->close(ASSIGNMENT);
        if (self::$settings['has_environment'] ?? false) {
            replaceEnvironment(getenv());
        } else {
            if (function_exists('pcntl_waitpid')) {
                pcntl_waitpid(-1, $status);  // what wrote the line is a child that ends: handlers wait for their own
            }
            $channel = self::$connection->channel;
            $size = unpack('N', $channel->readExactly(LENGTH_PREFIX_SIZE))[1];
            replaceEnvironment(json_decode($channel->readExactly($size), true, flags: JSON_THROW_ON_ERROR));
        }
        if (!@chdir(self::$settings['home'])) {
            throw new \RuntimeException('cannot change to ' . self::$settings['home']);
        }
    }

    /** Answer a request that comes from memory, so that what a start needs has run once. */
    private static function warmUp(): void
    {
        $stream = fopen('php://memory', 'r+b');
        $document = '{"event":{"path":"/","headers":{"Host":""},"body":""},"context":{"n":128}}';
        fwrite($stream, "POST / HTTP/1.1\r\nfnkit-request: 0\r\ncontent-length: " . strlen($document) . HEAD_END . $document);
        rewind($stream);
        $handler = new \ReflectionFunction(fn (array $event, array $context): array => ['body' => $event]);
        self::respond(new Connection(new Channel($stream)), $handler);
        replaceEnvironment(getenv());
    }

    /** Return the location and the name of "dir/file.name". */
    private static function splitHandler(): array
    {
        $dot = (int) strrpos(self::$settings['handler'], '.');
        return [substr(self::$settings['handler'], 0, $dot), substr(self::$settings['handler'], $dot + 1)];
    }

    private static function log(string $text): void
    {
        try {
            self::$log->write("$text\n");
        } catch (Disconnected) {
            return;  // nobody reads the log
        }
    }
}

/**
 * Return the type and the body of a handler's value.
 *
 * Throws JsonException for what has no JSON, text that is not UTF-8 included.
 */
function encodeResult(mixed $result): array
{
    if (!is_string($result)) {
        return [JSON, json_encode($result, JSON_THROW_ON_ERROR)];
    }
    if (preg_match('//u', $result) !== 1) {
        throw new \JsonException(NOT_UTF8, JSON_ERROR_UTF8);
    }
    return [HTML, $result];
}

/** Return the text of an exception and of those that led to it, without the calls from this file. */
function describe(\Throwable $error): string
{
    $texts = [];
    for ($current = $error; $current !== null; $current = $current->getPrevious()) {
        $text = $current::class . ": {$current->getMessage()} in {$current->getFile()}:{$current->getLine()}";
        $calls = [];
        foreach (explode("\n", $current->getTraceAsString()) as $call) {
            if (str_contains($call, __FILE__) || str_ends_with($call, ' {main}')) {
                break;
            }
            $calls[] = $call;
        }
        if (str_contains(end($calls) ?: '', '[internal function]')) {
            array_pop($calls);  // the handler itself
        }
        $texts[] = implode("\n", [$text, ...$calls]);
    }
    return implode("\nprevious: ", $texts);
}

function replaceEnvironment(array $environment): void
{
    foreach (getenv() as $name => $_) {
        putenv((string) $name);
        unset($_SERVER[$name]);
    }
    foreach ($environment as $name => $value) {
        putenv("$name=$value");
        $_SERVER[$name] = $value;
    }
    $_ENV = $environment;
    if (isset($environment['TZ'])) {
        @date_default_timezone_set(ltrim($environment['TZ'], ':'));
    }
}

/**
 * Keep child processes from inheriting the open descriptors, which would keep the socket open after this process.
 *
 * PHP has no function for it. Returns the C library, or null where the extension FFI is missing or disabled.
 */
function closeOnExec(): ?\FFI
{
    if (!extension_loaded('ffi')) {
        return null;
    }
    try {
        $libc = \FFI::cdef('int close(int descriptor); int fcntl(int descriptor, int command, ...);');
        for ($descriptor = CONNECTION; $descriptor < INHERITED_DESCRIPTORS_MAX; $descriptor++) {
            $libc->fcntl($descriptor, SET_DESCRIPTOR_FLAGS, CLOSE_ON_EXEC);
        }
        return $libc;
    } catch (\FFI\Exception) {
        return null;
    }
}

try {
    require Worker::start();
    Worker::finishLoading(null);
} catch (\Throwable $error) {
    Worker::finishLoading($error);
}
Worker::serve();
