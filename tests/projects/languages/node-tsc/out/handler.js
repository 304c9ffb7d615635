"use strict";
var __awaiter = (this && this.__awaiter) || function (thisArg, _arguments, P, generator) {
    function adopt(value) { return value instanceof P ? value : new P(function (resolve) { resolve(value); }); }
    return new (P || (P = Promise))(function (resolve, reject) {
        function fulfilled(value) { try { step(generator.next(value)); } catch (e) { reject(e); } }
        function rejected(value) { try { step(generator["throw"](value)); } catch (e) { reject(e); } }
        function step(result) { result.done ? resolve(result.value) : adopt(result.value).then(fulfilled, rejected); }
        step((generator = generator.apply(thisArg, _arguments || [])).next());
    });
};
Object.defineProperty(exports, "__esModule", { value: true });
exports.handle = handle;
const greeting_1 = require("./greeting");
function handle(event) {
    return __awaiter(this, void 0, void 0, function* () {
        if (event.queryStringParameters.name === "nobody") {
            throw new Error("nobody was named");
        }
        return { body: yield (0, greeting_1.greeting)(event.queryStringParameters.name), statusCode: 200 };
    });
}
//# sourceMappingURL=handler.js.map