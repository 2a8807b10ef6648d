import { Controller, Get, Param, UseGuards } from '@nestjs/common';
import { SessionGuard } from './session.guard.js';

@Controller('orders')
@UseGuards(SessionGuard)
export class OrdersController {
  @Get(':id')
  one(@Param('id') id: string) {
    return { id };
  }
}
