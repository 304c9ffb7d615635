<?php

function width_of(string $text): int
{
    return strlen($text) * 71;
}
