<?php

declare(strict_types=1);

namespace Conference\Names;

use InvalidArgumentException;

/** A name of a person, as it is shown to others. */
final class Name
{
    public const LENGTH_MAX = 60;

    public readonly string $shown;

    public function __construct(string $written)
    {
        $this->shown = trim(preg_replace('/\s+/u', ' ', $written));
        if ($this->shown === '' || mb_strlen($this->shown) > self::LENGTH_MAX) {
            throw new InvalidArgumentException('expected a name of 1 to ' . self::LENGTH_MAX . ' characters');
        }
    }

    /** The first letters of the first and the last word. */
    public function initials(): string
    {
        $words = explode(' ', $this->shown);
        $letters = count($words) > 1 ? [$words[0], end($words)] : [$words[0]];
        return implode('', array_map(fn (string $word) => mb_strtoupper(mb_substr($word, 0, 1)), $letters));
    }
}
